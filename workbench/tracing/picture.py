"""A story as a sequence picture: a column a place, an arrow a hop, notes for translations and for where it ended."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from workbench.tracing.story import Leg, Step, Story

_COLUMN, _ROW, _TOP, _MARGIN = 220, 34, 90, 20
_LETTER = 7.2
"""How wide a letter is at most, in pixels, on the average of a text."""
_STYLE = (
    "text{font:12px sans-serif} .place{font-weight:bold} .line{stroke:#999;stroke-dasharray:3 3} "
    ".hop{stroke:#1a73e8;stroke-width:2;fill:none} .reply{stroke:#188038} .note{fill:#fef7e0;stroke:#f9ab00} "
    ".packet{fill:#666} .end{fill:#fce8e6;stroke:#d93025} .good{fill:#e6f4ea;stroke:#188038}"
)
_NOTED = ("nat", "tunnel")


def to_svg(story: Story) -> str:
    """The picture, a whole SVG document."""
    drawing = _Drawing(list(dict.fromkeys(visit.place for leg in story.legs for visit in leg.visits)))
    drawing.text(_MARGIN, 24, f"{story.source} → {story.target}, {story.protocol}", "place")
    for leg in story.legs:
        drawing.leg(leg)
    drawing.box(_MARGIN, f"{story.result}: {story.reason}", "good" if story.result == "delivered" else "end")
    return drawing.document()


class _Drawing:
    """What has been drawn, down to `height` and as far as `width`."""

    def __init__(self, places: Sequence[str]) -> None:
        longest = max((_wide(place) for place in places), default=0)
        column = max(_COLUMN, longest + _MARGIN)
        self._columns = {place: _MARGIN + longest // 2 + number * column for number, place in enumerate(places)}
        self._rows: list[str] = []
        self._width, self._height = 0, _TOP
        for place, x in self._columns.items():
            self.text(x, 56, place, "place", middle=True)

    def leg(self, leg: Leg) -> None:
        """A caption, and an arrow to each next place."""
        self.text(_MARGIN, self._height, leg.packet, "packet")
        self._height += _ROW
        previous = None
        for visit in leg.visits:
            x = self._columns[visit.place]
            if previous is not None:
                self._arrow(previous, x, _latency(visit.steps, leg), "hop reply" if leg.direction == "reply" else "hop")
            for step in visit.steps:
                if step.kind in _NOTED or step.data.get("verdict") == "drop":
                    self.box(x - 100, step.text, "note" if step.kind in _NOTED else "end")
            previous = x
        self._height += _ROW // 2

    def box(self, x: int, text: str, shape: str) -> None:
        """A row of its own."""
        x = max(x, _MARGIN)
        self._rows.append(
            f'<rect x="{x}" y="{self._height - 16}" width="{_wide(text) + 12}" height="24" rx="4" class="{shape}"/>'
        )
        self.text(x + 6, self._height, text, "")
        self._height += _ROW

    def text(self, x: int, y: int, text: str, shape: str, *, middle: bool = False) -> None:
        """At its beginning, or at its middle."""
        anchor = ' text-anchor="middle"' if middle else ""
        self._rows.append(f'<text x="{x}" y="{y}"{anchor} class="{shape}">{escape(text)}</text>')
        self._width = max(self._width, x + (_wide(text) // 2 if middle else _wide(text)))

    def document(self) -> str:
        """As large as what is in it."""
        lines = [
            f'<line x1="{x}" y1="64" x2="{x}" y2="{self._height - _ROW}" class="line"/>' for x in self._columns.values()
        ]
        size = f'width="{self._width + _MARGIN}" height="{self._height}"'
        head = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size}>',
            f"<style>{_STYLE}</style>",
            '<defs><marker id="tip" markerWidth="9" markerHeight="9" refX="8" refY="4" orient="auto">'
            '<path d="M0,0 L8,4 L0,8 z"/></marker></defs>',
        ]
        return "\n".join([*head, *lines, *self._rows, "</svg>", ""])

    def _arrow(self, start: int, end: int, label: str, shape: str) -> None:
        y = self._height
        self._rows.append(f'<line x1="{start}" y1="{y}" x2="{end}" y2="{y}" class="{shape}" marker-end="url(#tip)"/>')
        self.text((start + end) // 2, y - 5, label, "", middle=True)
        self._height += _ROW


def _latency(steps: Sequence[Step], leg: Leg) -> str:
    first = next((step.time for step in steps if step.time is not None), None)
    return f"+{(first - leg.times[0]) / 1000:.0f} µs" if first is not None else ""


def _wide(text: str) -> int:
    return int(len(text) * _LETTER)
