"""After jusText: pass all of its paragraphs, not only those that it calls good, so that each is read in its context.

jusText's own verdict (``is_boilerplate``) stays beside the label: a paragraph that either rejects can be dropped.
"""

import justext
from justext.core import Paragraph as JustextParagraph

from detector import Detector, Label

detector = Detector.load()


def labelled(html: str, language: str) -> list[tuple[JustextParagraph, Label]]:
    """The paragraphs of jusText, each with its label; ``language`` names its stop list, such as ``"English"``."""
    paragraphs = justext.justext(html, justext.get_stoplist(language))
    # One line each: jusText keeps the line breaks of the HTML's source.
    page = detector.label("\n\n".join(" ".join(paragraph.text.split()) for paragraph in paragraphs))
    return list(zip(paragraphs, page.labels, strict=True))


def clean(html: str, language: str) -> str:
    """The paragraphs that are editorial, whatever jusText thinks of them."""
    return "\n\n".join(paragraph.text for paragraph, label in labelled(html, language) if label == "editorial")
