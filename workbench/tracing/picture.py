"""A story as a sequence picture: a column a place, an arrow a hop, notes for translations and for where it ended."""

from __future__ import annotations

from html import escape

from workbench.tracing.story import Leg, Step, Story

_COLUMN, _ROW, _TOP, _LEFT = 220, 34, 90, 110
_STYLE = (
    "text{font:12px sans-serif} .place{font-weight:bold} .line{stroke:#999;stroke-dasharray:3 3} "
    ".hop{stroke:#1a73e8;stroke-width:2;fill:none} .reply{stroke:#188038} .note{fill:#fef7e0;stroke:#f9ab00} "
    ".end{fill:#fce8e6;stroke:#d93025} .good{fill:#e6f4ea;stroke:#188038}"
)


def to_svg(story: Story) -> str:
    """The picture, a whole SVG document."""
    places = list(dict.fromkeys(visit.place for leg in story.legs for visit in leg.visits))
    rows: list[str] = []
    height = _TOP
    for leg in story.legs:
        height = _leg(leg, places, rows, height)
    rows.append(
        _box(_LEFT, height, f"{story.result}: {story.reason}", "good" if story.result == "delivered" else "end")
    )
    width = _LEFT * 2 + _COLUMN * max(len(places) - 1, 1)
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height + 60}">',
        f"<style>{_STYLE}</style>",
        '<defs><marker id="tip" markerWidth="9" markerHeight="9" refX="8" refY="4" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z"/></marker></defs>',
        f'<text x="20" y="24" class="place">{escape(f"{story.source} → {story.target}, {story.protocol}")}</text>',
    ]
    for number, place in enumerate(places):
        x = _LEFT + number * _COLUMN
        head.append(f'<text x="{x}" y="56" text-anchor="middle" class="place">{escape(place)}</text>')
        head.append(f'<line x1="{x}" y1="64" x2="{x}" y2="{height}" class="line"/>')
    return "\n".join([*head, *rows, "</svg>", ""])


def _leg(leg: Leg, places: list[str], rows: list[str], height: int) -> int:
    previous = None
    for visit in leg.visits:
        x = _LEFT + places.index(visit.place) * _COLUMN
        if previous is not None:
            shape = "hop reply" if leg.direction == "reply" else "hop"
            rows.append(
                f'<line x1="{previous}" y1="{height}" x2="{x}" y2="{height}" class="{shape}" marker-end="url(#tip)"/>'
            )
            latency = _latency(visit.steps, leg)
            middle = (previous + x) // 2
            rows.append(f'<text x="{middle}" y="{height - 5}" text-anchor="middle">{escape(latency)}</text>')
            height += _ROW
        for step in visit.steps:
            if step.kind == "nat" or step.data.get("verdict") == "drop":
                rows.append(_box(x - 100, height, step.text, "note" if step.kind == "nat" else "end"))
                height += _ROW
        previous = x
    return height + _ROW // 2


def _latency(steps: list[Step], leg: Leg) -> str:
    first = next((step.time for step in steps if step.time is not None), None)
    return f"+{(first - leg.times[0]) / 1000:.0f} µs" if first is not None else ""


def _box(x: int, y: int, text: str, shape: str) -> str:
    shown = text if len(text) <= 90 else text[:89] + "…"
    width = max(len(shown) * 7 + 12, 60)
    return (
        f'<rect x="{x}" y="{y - 16}" width="{width}" height="24" rx="4" class="{shape}"/>'
        f'<text x="{x + 6}" y="{y}"><title>{escape(text)}</title>{escape(shown)}</text>'
    )
