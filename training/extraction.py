"""The public extraction benchmarks: their pages, their own metrics, any number of extractors in one run.

* *aeb*: the article extraction benchmark (Zyte), 181 articles; shingles of four words, page by page, the mean.
* *wcxb*: the web content extraction benchmark (Foley 2026), seven types of page; words, page by page, the mean.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from detector.html import decode_html
from training.corpus import DATA, CorpusError, read_records

_WORDS = re.compile(r"\w+")
_SHINGLE = 4
LISTING = "listing"
TRAINED = ("train", "extra")
"""Files of ``data/labels/`` whose hosts models learn from."""


@dataclass(frozen=True)
class Case:
    """A page of a benchmark: where its HTML lies and the text that its readers took for content."""

    id: str
    host: str
    page_type: str
    content: str
    path: Path

    def html(self) -> str:
        """The page as text; all extractors get the same."""
        try:
            return decode_html(gzip.decompress(self.path.read_bytes()))
        except (OSError, EOFError) as error:
            raise CorpusError(f"{self.path}: the HTML of page {self.id} cannot be read ({error})") from None


@dataclass(frozen=True)
class Score:
    """How near an extracted text is to the content, each 0 to 1; ``None`` where the metric does not count a page."""

    precision: float | None
    recall: float | None
    f1: float | None
    accuracy: float | None = None


def word_score(extracted: str, content: str) -> Score:
    """WCXB's metric: words in lower case, counted as a bag."""
    said, gold = _WORDS.findall(extracted.lower()), _WORDS.findall(content.lower())
    if not said or not gold:
        value = float(not said and not gold)
        return Score(value, value, value)
    common = sum((Counter(said) & Counter(gold)).values())
    return Score(common / len(said), common / len(gold), 2 * common / (len(said) + len(gold)))


def shingle_score(extracted: str, content: str) -> Score:
    """The article extraction benchmark's metric: shingles of four words, counted as a bag.

    A text of fewer words is one shingle. A page without extracted text has no precision there, one without content
    no recall. ``accuracy`` is 1 if all words are the same; F1 is of the means, see :func:`mean_score`.
    """
    said_words, gold_words = _WORDS.findall(extracted), _WORDS.findall(content)
    said, gold = _shingles(said_words), _shingles(gold_words)
    common = (said & gold).total()
    precision = common / said.total() if said else None
    recall = common / gold.total() if gold else None
    return Score(precision, recall, None, float(said_words == gold_words))


def _shingles(words: Sequence[str]) -> Counter[tuple[str, ...]]:
    if not words:
        return Counter()
    return Counter(tuple(words[i : i + _SHINGLE]) for i in range(max(1, len(words) - _SHINGLE + 1)))


def mean_score(scores: Sequence[Score]) -> dict[str, float | None]:
    """Means over pages; where pages have no F1 of their own, F1 is that of mean precision and mean recall."""
    means = {name: _mean(getattr(score, name) for score in scores) for name in ("precision", "recall", "f1")}
    precision, recall = means["precision"], means["recall"]
    if means["f1"] is None and precision and recall:
        means["f1"] = 2 * precision * recall / (precision + recall)
    accuracy = _mean(score.accuracy for score in scores)
    return {name: value and round(value, 4) for name, value in means.items()} | (
        {} if accuracy is None else {"accuracy": round(accuracy, 4)}
    )


def _mean(values: Iterable[float | None]) -> float | None:
    counted = [value for value in values if value is not None]
    return sum(counted) / len(counted) if counted else None


METRICS = {"aeb": shingle_score, "wcxb": word_score}
"""Each benchmark's own."""


def read_aeb(root: Path) -> list[Case]:
    """The pages of a clone of the article extraction benchmark: ``ground-truth.json`` and ``html/ID.html.gz``."""
    cases = []
    for name, record in _json(root / "ground-truth.json").items():
        content = _text(record, "articleBody", f"{root / 'ground-truth.json'}, page {name}")
        cases.append(Case(name, host_of(record.get("url")), "article", content, root / "html" / f"{name}.html.gz"))
    return cases


def read_wcxb(root: Path, split: str) -> list[Case]:
    """The pages of a clone of WCXB: ``SPLIT/ground-truth/ID.json`` and ``SPLIT/html/ID.html.gz``."""
    paths = sorted((root / split / "ground-truth").glob("*.json"))
    if not paths:
        raise CorpusError(f"{root / split / 'ground-truth'}: no *.json there; name the folder of the clone")
    return [_wcxb_case(path, root / split / "html") for path in paths]


def _wcxb_case(path: Path, html: Path) -> Case:
    record = _json(path)
    content = _text(record.get("ground_truth"), "main_content", str(path))
    return Case(path.stem, host_of(record.get("url")), _page_type(record), content, html / f"{path.stem}.html.gz")


def _page_type(record: Mapping[str, Any]) -> str:
    found = (record.get("_internal") or {}).get("page_type", {})
    name = found.get("primary", "article") if isinstance(found, dict) else found
    return {"category": "collection"}.get(str(name), str(name))


def read_weak(corpus: Path) -> list[Case]:
    """The pages of WCXB's development split that a corpus folder holds in ``weak.jsonl.gz``."""
    path = corpus / "weak.jsonl.gz"
    return [
        Case(
            record["id"],
            record["host"],
            record["page_type"],
            _text(record, "main_content", f"{path}, record {number}"),
            corpus / "html" / f"{record['id']}.html.gz",
        )
        for number, record in read_records(path)
    ]


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CorpusError(f"{path}: cannot be read ({error}); name the folder of the benchmark's clone") from None
    if not isinstance(found, dict):
        raise CorpusError(f"{path}: a JSON {type(found).__name__}; one object is wanted")
    return found


def _text(record: object, key: str, where: str) -> str:
    if not isinstance(record, dict):
        raise CorpusError(f"{where}: no object that holds {key!r}; name the folder of the benchmark's clone")
    return str(record.get(key) or "")


def host_of(url: object) -> str:
    """The host of a URL as ``data/labels/`` writes it, empty if there is none."""
    return (urlsplit(str(url or "")).hostname or "").removeprefix("www.")


def trained_hosts() -> set[str]:
    """Hosts whose pages models learn from."""
    return {record["host"] for name in TRAINED for _, record in read_records(DATA / "labels" / f"{name}.jsonl.gz")}


def not_trained_on(cases: Sequence[Case]) -> list[Case]:
    """The pages of hosts that no model has learned from."""
    trained = trained_hosts()
    return [case for case in cases if case.host not in trained]


@dataclass(frozen=True)
class Extracted:
    """What an extractor made of a page: its score, and whether it raised (then its text is empty)."""

    case: Case
    score: Score
    raised: bool


def run(
    cases: Iterable[Case], extractors: Mapping[str, Callable[[str], str]], metric: Callable[[str, str], Score]
) -> Iterator[dict[str, Extracted]]:
    """Each page in turn through every extractor."""
    for case in cases:
        html = case.html()
        yield {name: _extracted(case, html, extract, metric) for name, extract in extractors.items()}


def _extracted(case: Case, html: str, extract: Callable[[str], str], metric: Callable[[str, str], Score]) -> Extracted:
    try:
        text, raised = extract(html), False
    except Exception:  # whatever an extractor raises, its page counts as empty and the others go on
        text, raised = "", True
    return Extracted(case, metric(text, case.content), raised)


def summary(results: Sequence[dict[str, Extracted]]) -> dict[str, dict[str, dict[str, Any]]]:
    """By type of page (``all`` first, most pages next) and extractor: means, ``pages``, ``raised``."""
    by_type: dict[str, list[dict[str, Extracted]]] = defaultdict(list)
    for result in results:
        by_type[next(iter(result.values())).case.page_type].append(result)
    groups = {"all": list(results)}
    if LISTING in by_type:
        groups["all but listings"] = [row for name, rows in by_type.items() if name != LISTING for row in rows]
    if len(by_type) > 1:
        groups |= dict(sorted(by_type.items(), key=lambda item: (-len(item[1]), item[0])))
    return {
        name: {who: _summed([row[who] for row in rows]) for who in rows[0]} for name, rows in groups.items() if rows
    }


def _summed(extracted: Sequence[Extracted]) -> dict[str, Any]:
    figures = mean_score([each.score for each in extracted])
    return {"pages": len(extracted), **figures, "raised": sum(each.raised for each in extracted)}


def page_by_page(results: Sequence[dict[str, Extracted]]) -> list[dict[str, Any]]:
    """Every page's figures for each extractor, to find where one fails."""
    rows = []
    for result in results:
        case = next(iter(result.values())).case
        scores = {who: mean_score([each.score]) for who, each in result.items()}
        rows.append({"id": case.id, "host": case.host, "page_type": case.page_type, "scores": scores})
    return rows


def table(groups: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """The result of :func:`summary` for a terminal."""
    lines = []
    for name, rows in groups.items():
        first = next(iter(rows.values()))
        keys = [key for key in ("precision", "recall", "f1", "accuracy") if key in first]
        lines.append(f"{name + ':':<18}{first['pages']:>6,} pages" + "".join(f"{key:>11}" for key in keys))
        for who, row in rows.items():
            cells = "".join("          -" if row[key] is None else f"{row[key]:>11.3f}" for key in keys)
            raised = f"   raised on {row['raised']:,}" if row["raised"] else ""
            lines.append(f"  {who:<28}{cells}{raised}")
    return "\n".join(lines)
