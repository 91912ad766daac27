from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from detector.batch import OutputError, Reading, Tally, Writing, chunks, label_all, outputs
from detector.formats import Fields
from tests.corpus import Told, jsonl, plan

KILLS = int(os.environ.get("KILLS", "2"))
"""Times that a run is killed by the system, as in ``KILLS=25 python -m pytest tests/test_resume.py -k sigkill``."""


class Killed(BaseException):
    """What ends a run here as SIGKILL would: nothing is put in order."""


@pytest.fixture
def small_steps(monkeypatch):
    """Many chunks, each committed."""
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 20_000)
    monkeypatch.setattr("detector.formats.jsonl.PIECE_BYTES", 5_000)
    monkeypatch.setattr(outputs, "_SECONDS", 0.0)


@pytest.fixture
def mortal(monkeypatch):
    """A way to be killed just before the ``after``-th change of what is on the disk."""

    def die(after: int) -> None:
        left = after

        def wrapped(name):
            change = getattr(os, name)

            def call(*arguments, **options):
                nonlocal left
                left -= 1
                if left == 0:
                    raise Killed
                return change(*arguments, **options)

            return call

        for name in ("fsync", "replace", "unlink", "open"):
            patch.setattr(os, name, wrapped(name))
        patch.setattr(
            outputs.Outputs, "give_up", lambda self: [lane.close() for lane in self._lanes.values()] and False
        )

    with monkeypatch.context() as patch:
        yield die, patch.undo


@pytest.fixture
def corpus(tmp_path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    jsonl(folder / "a.jsonl", 150)
    with (folder / "a.jsonl").open("a") as file:
        file.write("{broken\n")
    jsonl(folder / "b.jsonl", 50, 150)
    (folder / "c.txt").write_bytes(b"a\0b")
    return folder


def run(corpus: Path, out: Path, **options) -> tuple[Tally, Told]:
    told = Told()
    output_format = "parquet" if out.suffix == ".parquet" else "jsonl"
    writing = Writing(output_format, suffix=out.suffix if output_format == "jsonl" else "")
    return label_all(
        plan(corpus, writing=writing, output=out, errors=out.with_suffix(".err"), **options), told, None
    ), told


def contents(folder: Path) -> dict[str, bytes | None]:
    """What is in a folder; a journal says where it is itself."""
    return {path.name: None if path.suffix == ".journal" else path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["labels.jsonl", "labels.gz", "labels.parquet"])
def test_killed_at_any_change_a_run_ends_as_if_undisturbed(corpus, tmp_path, small_steps, mortal, name):
    die, revive = mortal
    (tmp_path / "expected").mkdir()
    expected = tmp_path / "expected" / name
    whole, _ = run(corpus, expected)
    deaths = 0
    for after in range(1, 1_000):
        folder = tmp_path / str(after)
        folder.mkdir()
        die(after)
        try:
            run(corpus, folder / name)
        except Killed:
            deaths += 1
        revive()
        finished = (folder / name).exists()
        tally, _ = run(corpus, folder / name, resume=True)
        assert contents(folder) == contents(expected.parent)
        assert finished or tally == whole
        if deaths < after:
            break
    assert deaths > 20


def test_killed_again_and_again(corpus, tmp_path, small_steps, mortal):
    die, revive = mortal
    run(corpus, tmp_path / "expected.jsonl")
    out = tmp_path / "out.jsonl"
    for _ in range(1_000):
        die(12)
        try:
            tally, _ = run(corpus, out, resume=True)
        except Killed:
            revive()
            continue
        break
    assert (tally.labelled, tally.failed) == (200, 2)
    assert out.read_bytes() == (tmp_path / "expected.jsonl").read_bytes()
    assert out.with_suffix(".err").read_bytes() == (tmp_path / "expected.err").read_bytes()


def test_site_memory_goes_on_as_if_undisturbed(tmp_path, small_steps, mortal, monkeypatch):
    monkeypatch.setattr(chunks, "SITE_CHUNK_BYTES", 20_000)
    die, revive = mortal
    path = tmp_path / "in.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for i in range(300):
            text = f"Number {i} of the street was sold.\n\nDear readers, we need you."
            file.write(json.dumps({"text": text, "url": f"https://{i % 3}.example/{i}"}) + "\n")
    same = plan(path, output=tmp_path / "expected.jsonl", site_memory=True)
    label_all(same, Told(), None)
    out = tmp_path / "out.jsonl"
    die(11)
    with pytest.raises(Killed):
        label_all(replace(same, output=out), Told(), None)
    revive()
    assert out.with_name(".out.jsonl.partial").stat().st_size
    label_all(replace(same, output=out, resume=True), Told(), None)
    assert out.read_bytes() == (tmp_path / "expected.jsonl").read_bytes()


@pytest.fixture
def interrupted(corpus, tmp_path, small_steps, mortal):
    """A run that was killed half-way, and its output."""
    die, revive = mortal
    die(11)
    out = tmp_path / "out.jsonl"
    with pytest.raises(Killed):
        run(corpus, out)
    revive()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".out.err.partial",
        ".out.jsonl.journal",
        ".out.jsonl.partial",
        "in",
    ]
    return out


def test_a_run_that_has_not_ended_is_not_begun_anew_unasked(corpus, interrupted):
    with pytest.raises(OutputError, match="--resume, or start anew with --overwrite"):
        run(corpus, interrupted)
    assert run(corpus, interrupted, overwrite=True)[0].labelled == 200


def test_a_run_goes_on_as_what_it_was_or_not_at_all(corpus, interrupted, tiny_folder):
    same = plan(
        corpus,
        writing=Writing(suffix=".jsonl"),
        output=interrupted,
        errors=interrupted.with_suffix(".err"),
        resume=True,
    )
    (corpus / "d.txt").write_text("More")
    with pytest.raises(OutputError, match=r"has not ended, .* \(inputs was 3 of .*, is 4 of .*\): give the same again"):
        label_all(same, Told(), None)
    (corpus / "d.txt").unlink()
    with pytest.raises(OutputError, match=r"\(--output-format was jsonl, is tsv; compression was \.jsonl, is \)"):
        label_all(replace(same, job=replace(same.job, writing=Writing("tsv"))), Told(), None)
    with pytest.raises(OutputError, match=r"\(model was "):
        label_all(replace(same, job=replace(same.job, model=tiny_folder)), Told(), None)
    assert label_all(same, Told(), None).labelled == 200


def test_what_was_cut_off_behind_our_back_is_noticed(corpus, interrupted):
    os.truncate(interrupted.with_name(".out.jsonl.partial"), 10)
    with pytest.raises(OutputError, match="shorter than its journal says"):
        run(corpus, interrupted, resume=True)


def test_two_runs_do_not_write_one_file(corpus, interrupted):
    import fcntl

    with interrupted.with_name(".out.jsonl.partial").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(OutputError, match="another run is writing"):
            run(corpus, interrupted, resume=True)


def test_nothing_is_replaced_unasked(corpus, tmp_path):
    out = tmp_path / "out.jsonl"
    for mine in (out, out.with_suffix(".err")):
        mine.write_text("mine")
        with pytest.raises(OutputError, match=f"{mine} is there: --overwrite replaces it"):
            run(corpus, out)
        assert mine.read_text() == "mine"
        assert {path.name for path in tmp_path.iterdir()} - {".out.jsonl.journal"} == {"in", mine.name}
        assert run(corpus, out, overwrite=True)[0].labelled == 200
        assert out.read_text(encoding="utf-8").count("\n") == 200
        out.unlink()
        out.with_suffix(".err").unlink()


@pytest.mark.parametrize("name", [".out.jsonl.partial", ".out.jsonl.journal"])
def test_nobody_elses_files_are_touched(corpus, tmp_path, name):
    (tmp_path / name).write_text("mine")
    for options in ({}, {"overwrite": True}, {"resume": True}):
        with pytest.raises(OutputError, match=r"no (run|journal) of this tool's: move it away"):
            run(corpus, tmp_path / "out.jsonl", **options)
    assert (tmp_path / name).read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == [name, "in"]


def test_what_appears_meanwhile_is_not_replaced(corpus, interrupted):
    interrupted.write_text("mine")
    with pytest.raises(OutputError, match="was not when the run began"):
        run(corpus, interrupted, resume=True)
    assert interrupted.read_text() == "mine"
    interrupted.unlink()
    assert run(corpus, interrupted, resume=True)[0].labelled == 200


def test_what_is_whole_is_left_alone(corpus, tmp_path):
    out = tmp_path / "out.jsonl"
    run(corpus, out)
    before = out.stat().st_mtime_ns
    _, told = run(corpus, out, resume=True)
    assert told.notes == [f"{out} is whole: nothing to do; --overwrite labels anew"]
    assert out.stat().st_mtime_ns == before


def test_what_is_whole_is_of_one_run_and_no_other(corpus, tmp_path):
    out = tmp_path / "out.parquet"
    run(corpus, out)
    before = out.read_bytes()
    same = plan(corpus, writing=Writing("parquet"), output=out, errors=out.with_suffix(".err"), resume=True)
    for other, said in (
        (replace(same, job=replace(same.job, site_memory=True)), "--site-memory was False, is True"),
        (replace(same, job=replace(same.job, reading=Reading(names=Fields(url="uri")))), "--url-field was url, is uri"),
        (replace(same, errors=None), "--errors was .*out.err, is not given"),
        (replace(same, paths=[str(corpus / "a.jsonl")]), "inputs was 3 of .* is 1 of"),
    ):
        with pytest.raises(OutputError, match=rf"is whole, .* \({said}.*\): give the same again, .* --overwrite"):
            label_all(other, Told(), None)
    told = Told()
    assert label_all(same, told, None).failed == 0
    assert told.notes == [f"{out} is whole: nothing to do; --overwrite labels anew"]
    assert out.read_bytes() == before
    assert label_all(replace(same, resume=False, overwrite=True), Told(), None).labelled == 200


def test_what_is_whole_without_a_journal_is_left_alone(corpus, tmp_path):
    out = tmp_path / "out.jsonl"
    out.write_text("mine")
    assert run(corpus, out, resume=True)[0].pages == 0
    assert out.read_text() == "mine"


def test_a_whole_output_that_was_moved_away_is_made_again(corpus, tmp_path):
    out = tmp_path / "out.jsonl"
    for options in ({}, {"resume": True}):
        assert run(corpus, out, **options)[0].labelled == 200
        out.unlink()
        out.with_suffix(".err").unlink()


@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet"])
def test_where_nothing_could_be_labelled_there_is_no_output(corpus, tmp_path, name):
    out = tmp_path / name
    tally, told = run(corpus / "c.txt", out)
    assert (tally.labelled, tally.failed) == (0, 1)
    assert told.notes == [f"nothing could be labelled: {out} is not written"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out.err"]
    out.write_text("mine")
    _, told = run(corpus / "c.txt", out, overwrite=True)
    assert told.notes == [f"nothing could be labelled: {out} is as it was"]
    assert out.read_text() == "mine"
    assert json.loads(out.with_suffix(".err").read_text())["file"] == str(corpus / "c.txt")


def test_where_there_was_nothing_to_label_there_is_an_output_of_nothing(tmp_path):
    (tmp_path / "in.jsonl").touch()
    assert run(tmp_path / "in.jsonl", tmp_path / "out.jsonl")[0].pages == 0
    assert (tmp_path / "out.jsonl").read_bytes() == b""


def test_killed_where_nothing_could_be_labelled(corpus, tmp_path, mortal):
    die, revive = mortal
    for after in range(1, 100):
        folder = tmp_path / str(after)
        folder.mkdir()
        die(after)
        try:
            run(corpus / "c.txt", folder / "out.jsonl")
            break
        except Killed:
            revive()
        if [path.name for path in folder.iterdir()] != ["out.err"]:
            run(corpus / "c.txt", folder / "out.jsonl", resume=True)
        assert [path.name for path in folder.iterdir()] == ["out.err"]
    assert after > 5


def test_an_interrupted_run_keeps_only_what_is_worth_it(corpus, tmp_path, small_steps, monkeypatch):
    class Impatient(Told):
        def progress(self, tally, total):
            raise KeyboardInterrupt

    out = tmp_path / "out.jsonl"
    told = Impatient()
    with pytest.raises(KeyboardInterrupt):
        label_all(plan(corpus, output=out), told, None)
    assert told.notes == [f"what is done is kept: the same command with --resume goes on ({out})"]
    assert label_all(plan(corpus, output=out, resume=True), Told(), None).labelled == 200
    monkeypatch.setattr("detector.batch.run", lambda *arguments, **options: iter([None]))
    with pytest.raises(AttributeError):
        label_all(plan(corpus, output=tmp_path / "other.jsonl"), Told(), None)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.jsonl.journal", "in", "out.jsonl"]


def command(*arguments) -> list[str]:
    return [sys.executable, "-m", "detector.cli", "label", *map(str, arguments)]


@pytest.mark.parametrize("jobs", [1, 2])
def test_sigkill(tmp_path, jobs):
    path = jsonl(tmp_path / "in.jsonl", 7_000)
    expected, out = tmp_path / "expected.jsonl", tmp_path / "out.jsonl"
    subprocess.run(command(path, "-o", expected, "-j", jobs), check=True, capture_output=True)
    chance = random.Random(jobs)
    for size in (1, *sorted(chance.randrange(2, 3_000_000) for _ in range(KILLS - 1))):
        resume = ["--resume"] if out.with_name(".out.jsonl.journal").exists() else []
        killed = subprocess.Popen(command(path, "-o", out, "-j", jobs, *resume), stderr=subprocess.DEVNULL)
        partial = out.with_name(".out.jsonl.partial")
        while killed.poll() is None and not (partial.exists() and partial.stat().st_size >= size):
            time.sleep(0.01)
        killed.send_signal(signal.SIGKILL)
        assert killed.wait() == -signal.SIGKILL
        assert not out.exists()
    ran = subprocess.run(command(path, "-o", out, "-j", jobs, "--resume"), check=True, capture_output=True, text=True)
    assert "7,000 labelled, 0 failed" in ran.stderr
    assert out.read_bytes() == expected.read_bytes()
    journals = [f".{name}.jsonl.journal" for name in ("expected", "out")]
    assert sorted(each.name for each in tmp_path.iterdir()) == [*journals, "expected.jsonl", "in.jsonl", "out.jsonl"]


def test_a_disk_that_fills_is_said_and_costs_nothing(tmp_path):
    path = jsonl(tmp_path / "in.jsonl", 9_000)
    out = tmp_path / "out.jsonl"
    limited = ["bash", "-c", 'ulimit -f 4000; exec "$@"', "-", *command(path, "-o", out, "-j", "1")]
    ran = subprocess.run(limited, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert f"detector: {out}: File too large" in ran.stderr
    assert "the same command with --resume goes on" in ran.stderr
    assert not out.exists()
    ran = subprocess.run(command(path, "-o", out, "--resume"), capture_output=True, text=True, check=True)
    ids = [json.loads(line)["id"] for line in out.read_text(encoding="utf-8").splitlines()]
    assert ids == [f"page-{i}" for i in range(9_000)]


def test_a_full_device_is_said(tmp_path):
    path = jsonl(tmp_path / "in.jsonl", 100)
    ran = subprocess.run(command(path, "-o", "/dev/full"), capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "No space left on device" in ran.stderr
    assert "Traceback" not in ran.stderr
