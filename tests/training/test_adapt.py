from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from detector import Detector
from detector.cli import app as detector_app
from detector.labels import LABELS, Label
from detector.model import Model
from training.adapt import Adapting, Corrected, adapt, read_corrected, trial
from training.benchmarks.newsrooms import measure, measure_hosts, newsrooms
from training.cli import app
from training.corpus import DATA, Document, read_bank

QUICK = Adapting(rehearsed=20, share=1.0)
LETTER = "The Tidewrack Telegram lands in your inbox each Friday with the week's soundings from the estuary."
LETTER_AT = 4
BODIES = (
    ("The dredger Hope ran aground off the bar at dawn.", "Nobody was hurt, and she floated free at noon."),
    ("A seal has taken up residence on the slipway.", "The harbour master puts out cones around it at low water."),
    ("Eel fishing resumed on the upper reach on Monday.", "Nets were set by lantern light below the weir."),
    ("The lamp of the old beacon was lit for one night.", "Forty people walked out over the sand to see it."),
    ("A bridge pier has been found to be older than thought.", "Its timbers were felled around 1390."),
    ("Samphire pickers met with the council on Tuesday.", "They agreed to leave the eastern bank alone."),
)


def page(number: int) -> Document:
    first, last = BODIES[number]
    text = f"Tidewrack Mercury\nTides\nBoats\n{first}\n{LETTER}\n{last}\n© Tidewrack Mercury"
    return Document(f"tide-{number}", "en", "tidewrack", text, "BBBEPEB")


def record(document: Document, **changes) -> dict:
    names = dict(zip("EPRB", (label.value for label in LABELS), strict=True))
    paragraphs = [
        {"start": start, "end": end, "label": names[code], "confidence": 0.5}
        for (start, end), code in zip(document.lines(), document.labels, strict=True)
    ]
    return {"id": document.id, "url": None, "text": document.text, "paragraphs": paragraphs} | changes


def write(path, *records):
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in records), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def adapted(tiny, tiny_sources) -> Model:
    return adapt(tiny.model, [Corrected.of(page(i)) for i in range(5)], tiny_sources, QUICK)


def wanted_scores(model: Model, wanted: Corrected) -> np.ndarray:
    """The probability of each paragraph's own label: a tiny model decides little, but it can be moved."""
    return model.scores([wanted.page])[0][np.arange(len(wanted.targets)), wanted.targets]


def test_a_page_of_the_publication_that_was_not_corrected_is_labelled_better(tiny, adapted):
    wanted = Corrected.of(page(5))
    before, after = wanted_scores(tiny.model, wanted), wanted_scores(adapted, wanted)
    assert after.mean() > before.mean() + 0.05
    assert after[LETTER_AT] > before[LETTER_AT]


def test_names_that_recur_are_learned_and_words_that_are_not_met_stay_to_the_bit(tiny, adapted):
    assert adapted.card["adapted"]["new_ngrams"] == len(adapted.buckets) - len(tiny.model.buckets) > 0
    kept = adapted.words[adapted.slots[tiny.model.buckets] - 1]
    assert (kept == tiny.model.words).all(axis=1).mean() > 0.5
    assert not np.array_equal(kept, tiny.model.words)
    assert np.array_equal(adapted.temperature, tiny.model.temperature)


def test_the_same_corrections_give_the_same_model_which_can_be_saved(tiny, tiny_sources, adapted, tmp_path):
    again = adapt(tiny.model, [Corrected.of(page(i)) for i in range(5)], tiny_sources, QUICK)
    adapted.save(tmp_path / "one")
    again.save(tmp_path / "two")
    one, two = Model.load(tmp_path / "one"), Model.load(tmp_path / "two")
    assert one.card["weights_sha256"] == two.card["weights_sha256"] != tiny.model.card.get("weights_sha256")
    assert one.card["adapted"]["from"] == tiny.model.name
    assert "scores" not in one.card


def test_nothing_corrected_is_refused(tiny, tiny_sources):
    with pytest.raises(ValueError, match="no corrected pages"):
        adapt(tiny.model, [], tiny_sources, QUICK)


def test_a_trial_measures_on_pages_kept_back(tiny, tiny_sources):
    tried = trial(tiny.model, [Corrected.of(page(i)) for i in range(6)], tiny_sources, QUICK)
    assert tried.pages == 2
    assert tried.after > tried.before


def test_paragraphs_without_a_label_are_not_learned_from(tmp_path):
    unchecked = record(page(0))
    unchecked["paragraphs"][0]["label"] = None
    del unchecked["paragraphs"][1]["label"], unchecked["paragraphs"][2]
    (read,) = read_corrected(write(tmp_path / "c.jsonl", unchecked), pytest.fail)
    assert read.targets.tolist() == [-1, -1, -1, 0, 1, 0, 3]
    assert read.page.markup is None


def test_html_is_learned_from_where_it_is_at_hand(tmp_path, tiny, tiny_sources, tiny_folder):
    html = f"<html><body><nav>Tides</nav><p>{BODIES[0][0]}</p><aside>{LETTER}</aside></body></html>"
    (tmp_path / "page.html").write_text(html, encoding="utf-8")
    labelled = tmp_path / "c.jsonl"
    arguments = ["label", str(tmp_path / "page.html"), "-o", str(labelled), "--model", str(tiny_folder)]
    assert CliRunner().invoke(detector_app, arguments).exit_code == 0
    found = json.loads(labelled.read_text())
    in_field, elsewhere = found | {"id": "moved", "html": html}, found | {"id": "moved"}
    changed = found | {"id": "moved", "html": html.replace("dawn", "dusk")}
    pages = read_corrected(write(labelled, found, in_field, elsewhere, changed), pytest.fail)
    assert [each.page.markup is not None for each in pages] == [True, True, False, False]
    assert all(each.targets.min() >= 0 for each in pages)
    assert adapt(tiny.model, pages, tiny_sources, QUICK).card["adapted"]["pages_as_html"] == 2


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("{", "not JSON"),
        ("[]", "a JSON list"),
        ({"id": "a"}, "no text or no list of paragraphs"),
        ({"text": "a", "paragraphs": [1]}, "paragraph 1 is no object"),
        ({"text": "a", "paragraphs": [{"start": 0, "end": 2, "label": "promo"}]}, "no span of the text"),
        ({"text": "a", "paragraphs": [{"start": 0, "end": True, "label": "promo"}]}, "no span of the text"),
        ({"text": "a", "paragraphs": [{"start": 0, "end": 1, "label": "advert"}]}, "'advert'; there are editorial"),
        ({"text": "a", "paragraphs": [{"start": 0, "end": 1, "label": ["promo"]}]}, "there are editorial"),
        ({"text": "a", "paragraphs": [{"start": 0, "end": 1}]}, "no paragraph has a label"),
        ({"text": "", "paragraphs": []}, "no paragraph has a label"),
    ],
)
def test_a_bad_record_is_named_and_costs_no_other(tmp_path, bad, reason):
    told: list[str] = []
    pages = read_corrected(write(tmp_path / "c.jsonl", record(page(0)), bad, record(page(1))), told.append)
    assert len(pages) == 2
    assert len(told) == 1
    assert "c.jsonl, record 2: " in told[0]
    assert reason in told[0]


def test_the_command_takes_what_label_wrote_and_a_person_corrected(tmp_path, tiny_folder):
    for number in range(4):
        (tmp_path / f"{number}.txt").write_text(page(number).text, encoding="utf-8")
    labels, out = tmp_path / "corrections.jsonl", tmp_path / "mine"
    label = ["label", str(tmp_path), "-o", str(labels), "--model", str(tiny_folder)]
    assert CliRunner().invoke(detector_app, label).exit_code == 0
    records = [json.loads(line) for line in labels.read_text(encoding="utf-8").splitlines()]
    for found in records:
        found["paragraphs"][LETTER_AT]["label"] = "promo"
    write(labels, *records)
    ran = CliRunner().invoke(app, ["adapt", "--labels", str(labels), "--out", str(out), "--model", str(tiny_folder)])
    assert ran.exit_code == 0, ran.output
    assert "trial on 1 of the 4 pages" in ran.output
    before, after = (Detector.load(folder).label(page(5).text).paragraphs[LETTER_AT] for folder in (tiny_folder, out))
    assert after.scores[Label.PROMO] > before.scores[Label.PROMO]
    write(labels, "{", *records[:1])
    ran = CliRunner().invoke(app, ["adapt", "--labels", str(labels), "--out", str(out), "--model", str(tiny_folder)])
    assert ran.exit_code == 1
    assert "record 1: not JSON" in ran.output
    assert Detector.load(out).model.card["adapted"]["pages"] == 1


def test_newsrooms_share_furniture_and_not_articles(tiny_sources):
    passages = read_bank(DATA / "passages")
    first, second = (list(newsrooms(tiny_sources.own, passages, pages=3, seed=1)) for _ in range(2))
    assert first == second
    assert first
    for room in first:
        lines = [
            {label: {t for c, t in zip(d.labels, d.texts(), strict=True) if c == label} for label in "EB"}
            for d in (*room.corrected, *room.test)
        ]
        assert all(page["B"] == lines[0]["B"] for page in lines)
        learned = set().union(*(page["E"] for page in lines[:3]))
        assert not learned & set().union(*(page["E"] for page in lines[3:]))


def test_a_newsroom_is_measured_before_and_after(tiny, tiny_sources):
    room = next(newsrooms(tiny_sources.own, read_bank(DATA / "passages"), pages=4, seed=1))
    dev = [page(0), page(1), Document("other", "en", "elsewhere", BODIES[2][0], "E")]
    results = measure(tiny.model, [room], tiny_sources, QUICK, dev)
    assert results["newsrooms, after"]["lines_right"] > results["newsrooms, before"]["lines_right"]
    assert results["dev, after each"]["pages"] == results["dev, before"]["pages"] == 3
    hosts = measure_hosts(tiny.model, tiny_sources, QUICK, dev)
    assert {result["pages"] for result in hosts.values()} == {2}
