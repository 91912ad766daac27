"""What turns HTML into the text that matters: this project and the extractors that people use today.

Each takes the page as decoded text, as it would come out of a crawler, and runs in one thread of this process.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from detector import Detector, Label, Page, Preset
from detector.html import parse_html

Extract = Callable[[str], str]
"""A page's HTML to the text that is kept of it."""


@dataclass(frozen=True)
class Contender:
    """A named extractor; ``package`` is the module that it needs beside this project, if any."""

    name: str
    package: str
    make: Callable[[], Extract]

    def is_installed(self) -> bool:
        """Whether its package can be imported."""
        return not self.package or importlib.util.find_spec(self.package) is not None


def contenders(detector: Detector) -> list[Contender]:
    """The detector first, then the others, each with the settings that serve it best on WCXB's development pages."""
    return [
        Contender("detector", "", lambda: keeping(detector)),
        Contender("detector --recall", "", lambda: keeping(detector, Preset.RECALL)),
        Contender("trafilatura", "trafilatura", lambda: trafilatura(comments=False)),
        Contender("jusText", "justext", justext),
        Contender("readability-lxml", "readability", readability),
        Contender("resiliparse", "resiliparse", resiliparse),
    ]


def installed(found: Sequence[Contender]) -> tuple[list[Contender], list[str]]:
    """Those that can run here, and the names of those that are left out."""
    return [each for each in found if each.is_installed()], [each.name for each in found if not each.is_installed()]


def keeping(detector: Detector, preset: Preset | None = None) -> Extract:
    """What ``detector clean`` keeps of a page."""
    return lambda html: kept(detector, detector.label_html(html), preset)


def kept(detector: Detector, page: Page, preset: Preset | None = None) -> str:
    """The editorial text of a labelled page."""
    return page.keep_where(detector.keep_mask(page, (Label.EDITORIAL,), preset=preset))


def trafilatura(*, comments: bool) -> Extract:
    """Trafilatura (Barbaresi 2021) with its defaults, but for readers' comments, which it keeps unless told not to."""
    import trafilatura as engine

    return lambda html: engine.extract(html, include_comments=comments) or ""


_JUSTEXT = {
    "length_low": 50, "length_high": 200, "stopwords_low": 0.1, "stopwords_high": 0.2, "max_link_density": 0.2,
    "max_heading_distance": 200, "no_headings": True,
}  # fmt: skip
"""The article extraction benchmark's own settings for jusText; they serve it better than its defaults."""


def justext() -> Extract:
    """JusText (Pomikálek 2011) with English stop words, the language of both benchmarks."""
    import justext as engine

    stop_words = engine.get_stoplist("English")

    def extract(html: str) -> str:
        # Bytes: as text, lxml refuses pages that declare an encoding.
        paragraphs = engine.justext(html.encode("utf-8", "replace"), stop_words, encoding="utf-8", **_JUSTEXT)
        return "\n".join(paragraph.text for paragraph in paragraphs if not paragraph.is_boilerplate)

    return extract


def readability() -> Extract:
    """Readability-lxml's summary; it is HTML, of which our renderer makes text."""
    import readability as engine

    return lambda html: parse_html(engine.Document(html).summary(html_partial=True)).text


def resiliparse() -> Extract:
    """Resiliparse's rule-based main content (Bevendorff et al. 2018)."""
    from resiliparse.extract.html2text import extract_plain_text

    return lambda html: str(extract_plain_text(html, main_content=True))
