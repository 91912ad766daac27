from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import dill
import pytest
from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor, SlurmPipelineExecutor
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter

from detector import Detector
from detector.integrations.datatrove import LabelParagraphs
from tests.examples import APPEAL, ARTICLE, run_example, spans_of

HTML = "<p>The ferry sails again from Monday, the harbour board said.</p><p>Subscribe to our newsletter</p>"


def documents(*texts: object) -> list[Document]:
    return [Document(text=text, id=str(number)) for number, text in enumerate(texts)]


def write_jsonl(folder: Path) -> None:
    folder.mkdir()
    for number, text in enumerate((ARTICLE, APPEAL)):
        (folder / f"{number}.jsonl").write_text(json.dumps({"id": str(number), "text": text, "lang": "en"}) + "\n")


def read_jsonl(folder: Path) -> list[dict]:
    return [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]


def test_the_example(detector: Detector, tmp_path: Path):
    write_jsonl(tmp_path / "pages")
    run_example("label_with_datatrove.py", tmp_path / "pages", tmp_path / "clean")
    (record,) = read_jsonl(tmp_path / "clean")
    assert record["text"] == detector.label(ARTICLE).keep("editorial")
    assert record["metadata"]["lang"] == "en"
    steps = json.loads((tmp_path / "clean" / "logs" / "stats.json").read_text())
    (stats,) = [step["stats"] for step in steps if "banner-detector" in step["name"]]
    assert (stats["total"], stats["forwarded"], stats["dropped"]) == (2, 1, 1)


def test_paragraphs_go_into_the_metadata(detector: Detector):
    step = LabelParagraphs()
    (article, empty) = step.run(iter(documents(ARTICLE, "")))
    assert article.text == ARTICLE
    assert article.metadata["paragraphs"] == spans_of(detector.label(ARTICLE))
    assert json.loads(json.dumps(article.metadata)) == article.metadata
    assert empty.metadata["paragraphs"] == []


def test_stats_add_up(detector: Detector):
    step = LabelParagraphs(keep=["editorial"])
    left = list(step.run(iter(documents(*[ARTICLE, APPEAL, None, 7] * 40))))
    stats = {name: int(stat.total) for name, stat in step.stats.stats.items()}
    assert [document.id for document in left] == [str(number) for number in range(0, 160, 4)]
    assert stats["total"] == 160
    assert stats["forwarded"] == 40
    assert stats["dropped"] == 120
    assert stats["dropped_unreadable"] == 80
    paragraphs = [*detector.label(ARTICLE).labels, *detector.label(APPEAL).labels]
    assert {label: stats[f"paragraphs_{label}"] for label in set(paragraphs)} == {
        label: 40 * paragraphs.count(label) for label in set(paragraphs)
    }


@pytest.mark.parametrize("keep", [None, "promo"])
def test_html(detector: Detector, keep: str | None):
    (document,) = LabelParagraphs(keep, html=True).run(iter(documents(HTML)))
    page = detector.label_html(HTML)
    assert document.text == (page.text if keep is None else page.keep(keep))


def test_names_that_are_none():
    with pytest.raises(ValueError, match="keep='adverts': name one or more of editorial"):
        LabelParagraphs("adverts")
    with pytest.raises(ValueError, match="preset='best'"):
        LabelParagraphs("editorial", preset="best")


def test_pickles_hold_no_model():
    step = LabelParagraphs("editorial", preset="recall")
    list(step.run(iter(documents(ARTICLE))))
    assert len(dill.dumps(step)) < 20_000


def test_several_tasks_in_several_processes(detector: Detector, tmp_path: Path):
    write_jsonl(tmp_path / "pages")
    LocalPipelineExecutor(
        [JsonlReader(str(tmp_path / "pages")), LabelParagraphs(), JsonlWriter(str(tmp_path / "out"), compression=None)],
        tasks=2,
        workers=2,
        logging_dir=str(tmp_path / "logs"),
    ).run()
    found = [[p["label"] for p in record["metadata"]["paragraphs"]] for record in read_jsonl(tmp_path / "out")]
    assert found == [list(detector.label(text).labels) for text in (ARTICLE, APPEAL)]


def test_what_a_slurm_job_runs(detector: Detector, tmp_path: Path):
    """The command that a job runs on what ``launch_job`` leaves for it; of Slurm, ``scontrol`` is stood in for."""
    write_jsonl(tmp_path / "pages")
    logs = tmp_path / "logs"
    logs.mkdir()
    executor = SlurmPipelineExecutor(
        [
            JsonlReader(str(tmp_path / "pages")),
            LabelParagraphs("editorial"),
            JsonlWriter(str(tmp_path / "out"), compression=None),
        ],
        tasks=2,
        time="1:00:00",
        partition="none",
        logging_dir=str(logs),
        slurm_logs_folder=str(logs),
    )
    (logs / "executor.pik").write_bytes(dill.dumps(executor, fmode=dill.CONTENTS_FMODE))
    (logs / "ranks_to_run.json").write_text("[0]")
    command = [sys.executable, "-m", "datatrove.tools.launch_pickled_pipeline", str(logs / "executor.pik")]
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text("#!/bin/sh\necho node1\n")
    scontrol.chmod(0o755)
    path = f"{scontrol.parent}{os.pathsep}{os.environ['PATH']}"
    slurm = {"SLURM_ARRAY_TASK_ID": "0", "SLURM_NODELIST": "node1", "PATH": path}
    subprocess.run(command, env={**os.environ, **slurm}, check=True, capture_output=True)
    assert [record["text"] for record in read_jsonl(tmp_path / "out")] == [detector.label(ARTICLE).keep("editorial")]
