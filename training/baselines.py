"""What people would try first: line by line, without the page.

Both learn from the corpus' training pages alone; the detector's training adds the texts of ``data/``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from detector.labels import CODES
from detector.network import Floats
from training.corpus import Document
from training.evaluate import Predict


def _lines(documents: Sequence[Document]) -> list[str]:
    return [document.text[start:end].strip() for document in documents for start, end in document.lines()]


def _by_document(scores: Floats, documents: Sequence[Document]) -> list[Floats]:
    return np.split(scores, np.cumsum([len(document.labels) for document in documents])[:-1])


def logistic_regression(train: Sequence[Document]) -> Predict:
    """TF-IDF of words and pairs and of characters, with scikit-learn's logistic regression, a line at a time."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    words = TfidfVectorizer(ngram_range=(1, 2), min_df=3, sublinear_tf=True, token_pattern=r"\w+|[^\w\s]")
    characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), min_df=5, sublinear_tf=True)
    model = make_pipeline(make_union(words, characters), LogisticRegression(C=3.0, max_iter=60, tol=1e-3))
    targets = np.concatenate([document.targets() for document in train])
    model.fit(_lines(train), targets)

    def predict(documents: Sequence[Document]) -> list[Floats]:
        return _by_document(model.predict_proba(_lines(documents)).astype(np.float32), documents)

    return predict


FASTTEXT_BEST = {"wordNgrams": 2, "minn": 3, "maxn": 5, "dim": 50, "epoch": 10, "lr": 0.3, "minCount": 3}
"""fastText's best setting on these pages: word bigrams, characters 3 to 5, 50 dimensions."""


def fasttext(train: Sequence[Document]) -> Predict:
    """FastText's supervised mode (Joulin et al. 2017), a line at a time; needs the package ``fasttext``."""
    import fasttext as engine

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.txt"
        codes = "".join(document.labels for document in train)
        rows = (f"__label__{code} {' '.join(line.split())}\n" for code, line in zip(codes, _lines(train), strict=True))
        path.write_text("".join(rows), encoding="utf-8", errors="replace")
        model = engine.train_supervised(str(path), thread=2, verbose=0, **FASTTEXT_BEST)

    def predict(documents: Sequence[Document]) -> list[Floats]:
        lines = [" ".join(line.split()) for line in _lines(documents)]
        scores = np.zeros((len(lines), len(CODES)), dtype=np.float32)
        for row, line in zip(scores, lines, strict=True):
            for probability, name in model.f.predict(line + "\n", len(CODES), 0.0, "replace"):
                row[CODES.index(name[-1])] = probability
        return _by_document(scores, documents)

    return predict
