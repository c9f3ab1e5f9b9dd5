"""The documents of the tour, in order."""

from __future__ import annotations

from pullback.tour.cookbook import DOCUMENT as COOKBOOK
from pullback.tour.documents import Document
from pullback.tour.tutorial import DOCUMENT as TUTORIAL


def documents() -> tuple[Document, ...]:
    """The documents of the tour, in order."""
    return TUTORIAL, COOKBOOK
