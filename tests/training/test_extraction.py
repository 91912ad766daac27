from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from training.corpus import CorpusError
from training.extraction import (
    Case,
    Score,
    host_of,
    mean_score,
    not_trained_on,
    read_aeb,
    read_wcxb,
    read_weak,
    run,
    shingle_score,
    summary,
    table,
    trained_hosts,
    word_score,
)

HTML = "<nav><a href=/>Home</a></nav><article><h1>The mill</h1><p>It ground its last grain on Friday.</p></article>"


def case(number: int = 1, page_type: str = "article", content: str = "It ground its last grain.") -> Case:
    return Case(str(number), f"{number}.example", page_type, content, Path(f"{number}.html.gz"))


def pack(path: Path, html: str = HTML) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(html.encode()))
    return path


def test_words_are_counted_without_case_or_order():
    assert word_score("last GRAIN grain mill", "The mill, the last grain") == Score(
        pytest.approx(3 / 4), pytest.approx(3 / 5), pytest.approx(6 / 9)
    )
    assert word_score("", "The mill") == Score(0, 0, 0)
    assert word_score("The mill", " ") == Score(0, 0, 0)
    assert word_score("…", "") == Score(1, 1, 1)


def test_shingles_hold_four_words_in_order():
    score = shingle_score("a b c d e", "x b c d e f")
    assert (score.precision, score.recall) == (pytest.approx(1 / 2), pytest.approx(1 / 3))
    assert shingle_score("b a", "a b").precision == 0
    assert shingle_score("a, b!", "a b") == Score(1, 1, None, 1)
    assert shingle_score("A b", "a b").accuracy == 0


def test_a_page_without_text_or_content_counts_where_the_metric_counts_it():
    assert shingle_score("", "a b") == Score(None, 0, None, 0)
    assert shingle_score("a b", "") == Score(0, None, None, 0)


def test_the_f1_of_shingles_is_that_of_the_means():
    means = mean_score([Score(1, 0.5, None, 1), Score(0.5, 1, None, 0), Score(None, 0, None, 0)])
    assert means == {"precision": 0.75, "recall": 0.5, "f1": 0.6, "accuracy": 0.3333}
    assert mean_score([Score(1, 1, 0.5), Score(0, 0, 0.1)])["f1"] == 0.3
    assert "accuracy" not in mean_score([Score(1, 1, 1)])


def test_a_clone_of_the_article_benchmark_is_read(tmp_path):
    pack(tmp_path / "html" / "ab.html.gz")
    record = {"articleBody": "It ground.", "url": "https://www.mill.example/x"}
    (tmp_path / "ground-truth.json").write_text(json.dumps({"ab": record}))
    (found,) = read_aeb(tmp_path)
    assert (found.id, found.host, found.page_type, found.content) == ("ab", "mill.example", "article", "It ground.")
    assert found.html() == HTML


def test_a_clone_of_wcxb_is_read(tmp_path):
    types = [{"page_type": {"primary": "forum"}}, {"page_type": "category"}, None]
    truth = tmp_path / "dev" / "ground-truth"
    truth.mkdir(parents=True)
    for number, internal in enumerate(types):
        record = {
            "url": "https://a.example/",
            "_internal": internal,
            "ground_truth": {"main_content": f"text {number}"},
        }
        (truth / f"{number:04}.json").write_text(json.dumps(record))
        pack(tmp_path / "dev" / "html" / f"{number:04}.html.gz")
    cases = read_wcxb(tmp_path, "dev")
    assert [each.page_type for each in cases] == ["forum", "collection", "article"]
    assert [each.content for each in cases] == ["text 0", "text 1", "text 2"]
    assert cases[2].html() == HTML


def test_the_weak_pages_of_a_corpus_are_read(tmp_path):
    record = {"id": "a", "host": "a.example", "page_type": "product", "main_content": "A grindstone."}
    (tmp_path / "weak.jsonl.gz").write_bytes(gzip.compress(json.dumps(record).encode() + b"\n"))
    pack(tmp_path / "html" / "a.html.gz")
    (found,) = read_weak(tmp_path)
    assert (found.host, found.page_type, found.content, found.html()) == ("a.example", "product", "A grindstone.", HTML)


def test_what_is_no_clone_is_named(tmp_path):
    with pytest.raises(CorpusError, match=r"ground-truth.json: cannot be read"):
        read_aeb(tmp_path)
    with pytest.raises(CorpusError, match=r"no \*.json there"):
        read_wcxb(tmp_path, "dev")
    (tmp_path / "ground-truth.json").write_text('["a"]')
    with pytest.raises(CorpusError, match="a JSON list"):
        read_aeb(tmp_path)
    (tmp_path / "ground-truth.json").write_text('{"a": "text"}')
    with pytest.raises(CorpusError, match="page a: no object"):
        read_aeb(tmp_path)
    with pytest.raises(CorpusError, match=r"1.html.gz: the HTML of page 1 cannot be read"):
        case().html()
    (tmp_path / "cut.html.gz").write_bytes(gzip.compress(HTML.encode())[:20])
    with pytest.raises(CorpusError, match=r"cut.html.gz: .* cannot be read"):
        Case("cut", "", "article", "", tmp_path / "cut.html.gz").html()


def test_pages_of_hosts_that_models_learn_from_are_left_out():
    trained = Case("t", min(trained_hosts()), "article", "", Path("t.html.gz"))
    assert not_trained_on([trained, case()]) == [case()]


def test_hosts_are_written_as_in_the_labels():
    assert host_of("https://www.Mill.example:8080/a?b") == "mill.example"
    assert host_of(None) == ""


def test_an_extractor_that_raises_scores_an_empty_text(tmp_path):
    def broken(html: str) -> str:
        raise RuntimeError("no tree")

    found = Case("a", "a.example", "forum", "last grain", pack(tmp_path / "a.html.gz"))
    (result,) = run([found], {"good": lambda html: "last grain", "broken": broken}, word_score)
    assert (result["good"].score.f1, result["good"].raised) == (1, False)
    assert (result["broken"].score.f1, result["broken"].raised) == (0, True)
    groups = summary([result])
    assert groups["all"]["broken"] == {"pages": 1, "precision": 0.0, "recall": 0.0, "f1": 0.0, "raised": 1}
    assert "raised on 1" in table(groups)


def test_types_of_page_have_figures_of_their_own(tmp_path):
    path = pack(tmp_path / "a.html.gz")
    texts = {"article": "one", "forum": "one", "listing": "two"}
    cases = [Case(name, "", name, content, path) for name, content in texts.items()]
    groups = summary(list(run(cases, {"one": lambda html: "one"}, word_score)))
    assert {name: rows["one"]["f1"] for name, rows in groups.items()} == {
        "all": 0.6667,
        "all but listings": 1,
        "article": 1,
        "forum": 1,
        "listing": 0,
    }
