"""Speed on one core, beside what people would use: the same lines, in turn, in one run."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from threadpoolctl import threadpool_limits

from detector import Detector
from training.baselines import FASTTEXT_BEST
from training.corpus import Document

ROUNDS = 5
"""Times that each contender runs; the median counts."""


def speed(documents: Sequence[Document], detector: Detector) -> Iterator[str]:
    """Lines and megabytes a second on one core, and the detector's speed as a multiple of each contender's."""
    lines = [document.text[start:end].strip() for document in documents for start, end in document.lines()]
    megabytes = sum(len(document.text.encode("utf-8", "replace")) for document in documents) / 1e6
    texts = [document.text for document in documents]
    contenders: dict[str, Callable[[], object]] = {
        "detector, page context included": lambda: sum(len(page) for page in detector.label_many(texts)),
        "TfidfVectorizer.transform alone (words 1-2)": _tfidf(lines),
        **_fasttext(documents, lines),
    }
    with threadpool_limits(1):
        seconds = _in_turn(contenders)
    ours = seconds[next(iter(seconds))]
    yield f"{len(documents):,} pages, {len(lines):,} lines, {megabytes:.1f} MB; one core, median of {ROUNDS} rounds"
    for name, taken in seconds.items():
        figures = f"{len(lines) / taken:>12,.0f} lines/s {megabytes / taken:8.2f} MB/s"
        yield f"{figures}   detector is x{taken / ours:.2f}   {name}"


def _in_turn(contenders: dict[str, Callable[[], object]]) -> dict[str, float]:
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for run in contenders.values():
        run()
    for _ in range(ROUNDS):
        for name, run in contenders.items():
            started = time.perf_counter()
            run()
            taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in taken.items()}


def _tfidf(lines: Sequence[str]) -> Callable[[], object]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2).fit(lines)
    return lambda: vectorizer.transform(lines)


def _fasttext(documents: Sequence[Document], lines: Sequence[str]) -> dict[str, Callable[[], object]]:
    try:
        import fasttext
    except ModuleNotFoundError:
        return {}
    flat = [" ".join(line.split()) + "\n" for line in lines]
    codes = "".join(document.labels for document in documents)
    found: dict[str, Callable[[], object]] = {}
    settings = {"words 2": FASTTEXT_BEST | {"minn": 0, "maxn": 0}, "words 2, characters 3-5": FASTTEXT_BEST}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lines.txt"
        rows = (f"__label__{code} {line}" for code, line in zip(codes, flat, strict=True))
        path.write_text("".join(rows), encoding="utf-8", errors="replace")
        for name, setting in settings.items():
            model = fasttext.train_supervised(str(path), thread=1, verbose=0, **setting | {"epoch": 1})
            found[f"fastText predict, line by line, 50 dimensions, {name}"] = _predictor(model, flat)
    return found


def _predictor(model: object, lines: Sequence[str]) -> Callable[[], object]:
    predict = model.f.predict  # type: ignore[attr-defined]
    return lambda: [predict(line, 1, 0.0, "replace") for line in lines]
