"""After trafilatura: pass its plain text; what it let through (letters, newsletter boxes, teasers) is labelled.

Leave ``include_formatting`` off, so that headings come without ``#``. For Markdown output see ``markdown.py``.
"""

import trafilatura

from detector import Detector, Page

detector = Detector.load()


def labelled(html: str) -> Page:
    """The extracted text with a label for each of its paragraphs; an empty page where nothing was found."""
    return detector.label(trafilatura.extract(html, include_comments=False) or "")


def clean(html: str) -> str:
    """What is editorial of the extracted text."""
    return labelled(html).keep("editorial")
