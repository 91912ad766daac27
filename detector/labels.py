"""The four labels; what they mean is told in ``data/GUIDELINES.md``."""

from __future__ import annotations

from enum import StrEnum


class Label(StrEnum):
    """What a paragraph's widget is there for.

    Members compare equal to their wire names (``Label.PROMO == "promo"``). Their order is the order of the
    columns of every score array: editorial, promo, related-links, boilerplate.
    """

    EDITORIAL = "editorial"
    PROMO = "promo"
    RELATED_LINKS = "related-links"
    BOILERPLATE = "boilerplate"

    @property
    def code(self) -> str:
        """The label's letter in gold files: ``E``, ``P``, ``R`` or ``B``."""
        return self.value[0].upper()


LABELS: tuple[Label, ...] = tuple(Label)
CODES: str = "".join(label.code for label in LABELS)
