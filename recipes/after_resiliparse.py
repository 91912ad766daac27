"""After resiliparse: pass its plain text with or without its own filter of main content; either works.

With ``main_content=True`` less is left for the detector to judge; without it nothing of the article can be lost before.
"""

from resiliparse.extract.html2text import extract_plain_text

from detector import Detector, Page

detector = Detector.load()


def labelled(html: str) -> Page:
    """The extracted text with a label for each of its paragraphs."""
    return detector.label(extract_plain_text(html, main_content=True))


def clean(html: str) -> str:
    """What is editorial of the extracted text."""
    return labelled(html).keep("editorial")
