"""A drawing as a value: SVG text or PNG bytes, with its words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One drawing, ready for a report, a notebook or a file.

    Attributes:
        media: "svg" or "png".
        data: the SVG text as UTF-8, or the PNG bytes. SVG colours are CSS variables with light fall-backs,
            so that a page can show it light or dark.
        width_px, height_px: natural size.
        title: what it shows, a few words.
        alt: alternative text, written from the record.
        caption: the small line below: scale, rule of ranking, provenance.
    """

    media: str
    data: bytes
    width_px: int
    height_px: int
    title: str
    alt: str
    caption: str = ""

    def _repr_mimebundle_(self, **_: object) -> dict[str, object]:
        """Show itself in a notebook."""
        kind = "image/svg+xml" if self.media == "svg" else "image/png"
        return {kind: self.data.decode() if self.media == "svg" else self.data, "text/plain": self.alt}
