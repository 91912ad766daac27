"""Speed on one core, beside what people would use: the same pages or lines, in turn, in one run."""

from __future__ import annotations

import importlib.util
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from detector import Detector
from training.baselines import FASTTEXT_BEST
from training.benchmarks.contenders import contenders, installed
from training.corpus import Document

ROUNDS = 5
"""Times that each contender runs; the median counts."""

Run = Callable[[], object]


@dataclass(frozen=True)
class Speed:
    """Seconds of one core that each contender takes for the same ``units`` (``lines`` or ``pages``), the first ours."""

    unit: str
    units: int
    megabytes: float
    seconds: Mapping[str, float]
    left_out: Sequence[str] = ()

    def as_json(self) -> dict[str, Any]:
        """Units a second, and how many times the contender's speed the detector's is."""
        ours = next(iter(self.seconds.values()))
        rows = {
            name: {
                f"{self.unit}_per_second": round(self.units / taken, 1),
                "megabytes_per_second": round(self.megabytes / taken, 3),
                "detector_is_times": round(taken / ours, 2),
            }
            for name, taken in self.seconds.items()
        }
        return {self.unit: self.units, "megabytes": round(self.megabytes, 2), "contenders": rows}

    def __str__(self) -> str:
        ours = next(iter(self.seconds.values()))
        rows = [
            f"{self.units / taken:>12,.0f} {self.unit}/s {self.megabytes / taken:8.2f} MB/s"
            f"   detector is x{taken / ours:.2f}   {name}"
            for name, taken in self.seconds.items()
        ]
        head = f"{self.units:,} {self.unit}, {self.megabytes:.1f} MB; one core, median of {ROUNDS} rounds"
        missing = [
            f"left out, not installed: {name}; pip install 'banner-detector[benchmark]'" for name in self.left_out
        ]
        return "\n".join([head, *rows, *missing])


def html_speed(pages: Sequence[str], detector: Detector) -> Speed:
    """From HTML to labels (ours) or to extracted text (theirs); without the extractors that are not installed."""
    present, missing = installed(contenders(detector))
    others = {each.name: each.make() for each in present if each.package}
    runs: dict[str, Run] = {"detector, label_html": lambda: [len(detector.label_html(page)) for page in pages]}
    runs |= {name: _over(extract, pages) for name, extract in others.items()}
    megabytes = sum(len(page.encode("utf-8", "replace")) for page in pages) / 1e6
    return Speed("pages", len(pages), megabytes, _in_turn(runs), missing)


def _over(extract: Callable[[str], str], pages: Sequence[str]) -> Run:
    def run() -> int:
        done = 0
        for page in pages:
            try:
                extract(page)
                done += 1
            except Exception:  # a page that an extractor cannot read costs it the time until it says so
                continue
        return done

    return run


def text_speed(documents: Sequence[Document], detector: Detector) -> Speed:
    """From plain text to labels, beside line-by-line classifiers and vectorizers on their own."""
    lines = [line.strip() for document in documents for line in document.texts()]
    codes = "".join(document.labels for document in documents)
    texts = [document.text for document in documents]
    runs: dict[str, Run] = {
        "detector, page context included": lambda: sum(len(page) for page in detector.label_many(texts)),
        **_scikit_learn(lines, codes),
    }
    missing = []
    if importlib.util.find_spec("fasttext"):
        runs |= _fasttext(lines, codes)
    else:
        missing.append("fastText")
    megabytes = sum(len(text.encode("utf-8", "replace")) for text in texts) / 1e6
    return Speed("lines", len(lines), megabytes, _in_turn(runs), missing)


def _in_turn(runs: Mapping[str, Run]) -> dict[str, float]:
    """Median processor time of each; unlike the clock on the wall it does not count what others do on the machine."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    with threadpool_limits(1):
        for run in runs.values():
            run()
        for _ in range(ROUNDS):
            for name, run in runs.items():
                started = time.process_time()
                run()
                taken[name].append(time.process_time() - started)
    return {name: statistics.median(values) for name, values in taken.items()}


def _scikit_learn(lines: Sequence[str], codes: str) -> dict[str, Run]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    hashing = HashingVectorizer(ngram_range=(1, 2))
    tfidf = TfidfVectorizer(ngram_range=(1, 2), min_df=2)
    # How well it is fitted does not change how fast it predicts.
    model = make_pipeline(tfidf, LogisticRegression(max_iter=5))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(lines, list(codes))
    return {
        "HashingVectorizer.transform alone (words 1-2)": lambda: hashing.transform(lines),
        "TfidfVectorizer.transform alone (words 1-2)": lambda: tfidf.transform(lines),
        "TfidfVectorizer and LogisticRegression, line by line": lambda: model.predict_proba(lines),
    }


def _fasttext(lines: Sequence[str], codes: str) -> dict[str, Run]:
    import fasttext

    flat = [" ".join(line.split()) + "\n" for line in lines]
    found: dict[str, Run] = {}
    settings = {"words 2": FASTTEXT_BEST | {"minn": 0, "maxn": 0}, "words 2, characters 3-5": FASTTEXT_BEST}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lines.txt"
        rows = (f"__label__{code} {line}" for code, line in zip(codes, flat, strict=True))
        path.write_text("".join(rows), encoding="utf-8", errors="replace")
        for name, setting in settings.items():
            model = fasttext.train_supervised(str(path), thread=1, verbose=0, **setting | {"epoch": 1})
            found[f"fastText predict, line by line, 50 dimensions, {name}"] = _predictor(model, flat)
    return found


def _predictor(model: object, lines: Sequence[str]) -> Run:
    predict = model.f.predict  # type: ignore[attr-defined]
    return lambda: [predict(line, 1, 0.0, "replace") for line in lines]
