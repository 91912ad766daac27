"""banner-detector: labels every paragraph of a scraped page editorial, promo, related-links or boilerplate."""

from detector.detector import Detector, Preset
from detector.explain import Explanation, Reason
from detector.labels import Label
from detector.memory import SiteMemory
from detector.model import ModelError
from detector.page import Page, Paragraph
from detector.segment import segment

__all__ = [
    "Detector",
    "Explanation",
    "Label",
    "ModelError",
    "Page",
    "Paragraph",
    "Preset",
    "Reason",
    "SiteMemory",
    "segment",
]
__version__ = "0.1.0"
