"""``SiteMemory``: what the pages of a host have in common, learned as they pass, in bounded memory.

A paragraph that stands on several pages of a host is read once on each; what the readings say together is steadier than
each alone. And a long one that stands beside several different articles belongs to none of them, however editorial it
sounds: a donation letter, a description of the publisher. Nothing is concluded from two or three, which may be one
article under two addresses, or a story whose background is told again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from detector.labels import LABELS, Label
from detector.network import Floats, softmax
from detector.page import Page

HOSTS, PARAGRAPHS = 1_000, 2_000
_EDITORIAL = LABELS.index(Label.EDITORIAL)
_SHARED = 0.5
"""Pages that share this much of their editorial characters are one article. So nothing is learned of a letter that is
longer than the articles beside it, if it was taken for editorial."""
_LONG = 40
"""Characters from which a paragraph is more than a heading or the name of a field, which articles share, too. Of 80 or
more, half of the gain on made sites would be lost."""
_SEVERAL, _OFTEN = 4, 0.1
"""Articles, and share of those since it was first seen, from which a long paragraph counts as repeated: a story's
background is told again in some of a host's articles."""
_STRENGTH = 2.0
"""Log-odds against editorial are this much times log(articles - 1). In the labelled corpus, long paragraphs on three or
more of a host's pages are editorial less often than others by 3.5 to 5.6 (log-odds). Their words tell much of that as
well, and it must not count twice."""
_PATIENCE = 200
"""Pages for which a paragraph that was seen twice is remembered longer than one seen once."""
_LEAST = 1e-6


class SiteMemory:
    """Paragraphs of the hosts seen last, each with its scores and the number of articles that it stood beside.

    Takes 36 bytes a paragraph: 72 MB when all ``hosts`` have ``paragraphs``, however many pages pass. The host seen
    longest ago is forgotten first, and so is a host's paragraph. Pages without URL are left as they are, as are
    paragraphs that stand twice on their page. Not to be shared between threads.
    """

    def __init__(self, hosts: int = HOSTS, paragraphs: int = PARAGRAPHS) -> None:
        self.hosts, self.paragraphs = hosts, paragraphs
        self._sites: OrderedDict[str, _Site] = OrderedDict()

    def learn(self, pages: Iterable[Page]) -> None:
        """Remember labelled pages; raises ``ValueError`` for pages without labels."""
        for page in pages:
            self._learn(_Reading.of(page))

    def recall(self, pages: Iterable[Page]) -> list[Page]:
        """Labelled pages, with the scores that their hosts' other pages make of theirs."""
        return [self._recalled(_Reading.of(page)) for page in pages]

    def update(self, pages: Iterable[Page]) -> list[Page]:
        """:meth:`learn`, then :meth:`recall`, at the cost of one."""
        readings = [_Reading.of(page) for page in pages]
        for reading in readings:
            self._learn(reading)
        return [self._recalled(reading) for reading in readings]

    def _learn(self, reading: _Reading) -> None:
        if not reading.host:
            return
        site = self._sites.setdefault(reading.host, _Site())
        self._sites.move_to_end(reading.host)
        if len(self._sites) > self.hosts:
            self._sites.popitem(last=False)
        if site.has_new_article(reading):
            site.add(reading)
            site.forget(self.paragraphs)

    def _recalled(self, reading: _Reading) -> Page:
        site = self._sites.get(reading.host)
        return site.recalled(reading) if site else reading.page


@dataclass(frozen=True)
class _Reading:
    """A labelled page, its host, and the k paragraphs that stand once on it: ``keys`` (k, ascending) hash their texts,
    ``rows`` (k) are their numbers on the page, ``lengths`` (k) their characters, ``logs`` (k, 4) the logs of their
    scores.
    """

    page: Page
    host: str
    keys: NDArray[np.uint64]
    rows: NDArray[np.int64]
    lengths: NDArray[np.int64]
    logs: Floats

    @classmethod
    def of(cls, page: Page) -> _Reading:
        if page.scores is None:
            raise ValueError("this page has no labels yet: pass it to Detector.label_pages()")
        host = _host(page.url)
        hashed = _hashes(page) if host else np.zeros(0, dtype=np.uint64)
        keys, rows, counts = np.unique(hashed, return_index=True, return_counts=True)
        keys, rows = keys[counts == 1], rows[counts == 1]
        lengths = (page.ends - page.starts)[rows]
        return cls(page, host, keys, rows, lengths, np.log(np.maximum(page.scores[rows], np.float32(_LEAST))))


def _host(url: str | None) -> str:
    """The host of a URL without ``www.``, empty if there is none. Blogs under one domain are sites of their own."""
    try:
        host = urlsplit(url or "").hostname or ""
    except ValueError:
        return ""
    return host.removeprefix("www.")


def _hashes(page: Page) -> NDArray[np.uint64]:
    """A number (n) for each paragraph: a hash of its text. A host writes what it repeats alike each time."""
    spans = zip(page.starts.tolist(), page.ends.tolist(), strict=True)
    texts = (page.text[start:end].encode("utf-8", "surrogatepass") for start, end in spans)
    return np.frombuffer(b"".join(blake2b(text, digest_size=8).digest() for text in texts), dtype="<u8")


class _Site:
    """A host's n paragraphs: ``keys`` (n, ascending), on how many articles' pages each stood (``counts``), the sums of
    the logs of their scores (``sums``, n x 4), and the ``first`` and ``last`` of those articles, by number.
    """

    def __init__(self) -> None:
        self.articles = 0
        self.keys = np.zeros(0, dtype=np.uint64)
        self.counts = np.zeros(0, dtype=np.int32)
        self.sums = np.zeros((0, len(LABELS)), dtype=np.float32)
        self.first = np.zeros(0, dtype=np.int32)
        self.last = np.zeros(0, dtype=np.int32)

    def find(self, keys: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Where ``keys`` are or belong, and whether they are there."""
        at = np.searchsorted(self.keys, keys)
        return at, np.append(self.keys, np.uint64(0))[at] == keys

    def has_new_article(self, reading: _Reading) -> bool:
        """Whether most of a page's editorial text is new; a page that has none says nothing of what articles share."""
        at, known = self.find(reading.keys)
        editorial = reading.logs.argmax(axis=1) == _EDITORIAL
        seen = known & editorial
        seen[seen] = self.sums[at[seen]].argmax(axis=1) == _EDITORIAL
        return bool(reading.lengths[seen].sum() < _SHARED * reading.lengths[editorial].sum())

    def add(self, reading: _Reading) -> None:
        """Count a page's paragraphs."""
        self.articles += 1
        at, known = self.find(reading.keys)
        there, new = at[known], at[~known]
        self.counts[there] += 1
        self.sums[there] += reading.logs[known]
        self.last[there] = self.articles
        self.keys = np.insert(self.keys, new, reading.keys[~known])
        self.counts = np.insert(self.counts, new, 1)
        self.sums = np.insert(self.sums, new, reading.logs[~known], axis=0)
        self.first = np.insert(self.first, new, self.articles)
        self.last = np.insert(self.last, new, self.articles)

    def forget(self, most: int) -> None:
        """Keep ``most`` paragraphs, those that were seen last."""
        if len(self.keys) <= most:
            return
        due = self.last + _PATIENCE * (self.counts > 1)
        kept = np.sort(np.argsort(-due, kind="stable")[:most])
        self.keys, self.counts, self.sums = self.keys[kept], self.counts[kept], self.sums[kept]
        self.first, self.last = self.first[kept], self.last[kept]

    def recalled(self, reading: _Reading) -> Page:
        """A page with the scores that this host's pages make of its own."""
        at, known = self.find(reading.keys)
        known[known] = self.counts[at[known]] > 1
        if not known.any():
            return reading.page
        at, rows = at[known], reading.rows[known]
        means = self.sums[at] / self.counts[at, None]
        logs = np.asarray((reading.logs[known] + means) / 2, dtype=np.float32)
        logs[:, _EDITORIAL] -= self._against(at) * (reading.lengths[known] >= _LONG)
        assert reading.page.scores is not None
        scores = reading.page.scores.copy()
        scores[rows] = softmax(logs)
        return reading.page.with_scores(scores)

    def _against(self, at: NDArray[np.int64]) -> Floats:
        """Log-odds against editorial for long paragraphs, by the number of articles that they stood beside."""
        counts = self.counts[at]
        often = (counts >= _SEVERAL) & (counts >= _OFTEN * (self.articles - self.first[at] + 1))
        return np.where(often, _STRENGTH * np.log(np.maximum(counts - 1, 1)), 0).astype(np.float32)
