"""Small pictures as SVG: scatter plots, bars, and a curve with the range of each of its points."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

SIDE = 200  # of a panel, in pixels
GAP = 24
HEADROOM = 34  # for the title above
INK, PAPER, ACCENT = "#1f2933", "#ffffff", "#2b6cb0"
GROUPS = ("#1a365d", "#2b6cb0", "#63b3ed", "#bee3f8")  # one after the other, again and again


class Scatter(NamedTuple):
    """Points [n][2] in the square from -extent to extent."""

    title: str
    points: Iterable[Sequence[float]]
    extent: float


class Curve(NamedTuple):
    """Values over named places side by side, each with the lowest and the highest seen; a line joins the first ones.

    The axis of the values starts at `floor`.
    """

    title: str
    axis: str
    places: Sequence[str]
    values: Sequence[float]
    ranges: Sequence[tuple[float, float]]
    joined: int  # how many
    floor: float = 0.0


class Bars(NamedTuple):
    """Values side by side, from 0 on; those of one group have one colour."""

    title: str
    axis: str
    values: Sequence[float]
    groups: Sequence[int]


Panel = Scatter | Curve | Bars


def picture(panels: Sequence[Panel], columns: int) -> str:
    """An SVG document with the panels in rows of `columns`, on white, so that it reads on a dark page too."""
    width = GAP + columns * (SIDE + GAP)
    height = GAP + -(-len(panels) // columns) * (SIDE + HEADROOM + GAP)
    parts = []
    for index, panel in enumerate(panels):
        row, column = divmod(index, columns)
        x, y = GAP + column * (SIDE + GAP), GAP + row * (SIDE + HEADROOM + GAP)
        body = _body(panel)
        title = _text(SIDE / 2, 18, panel.title, size=14)
        parts.append(f'<g transform="translate({x} {y})">{title}<g transform="translate(0 {HEADROOM})">{body}</g></g>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    style = f'font-family="sans-serif" fill="{INK}"'
    return "\n".join([f"{head} {style}>", f'<rect width="100%" height="100%" fill="{PAPER}"/>', *parts, "</svg>", ""])


def _body(panel: Panel) -> str:
    match panel:
        case Scatter():
            return _scatter(panel)
        case Curve():
            return _curve(panel)
        case Bars():
            return _bars(panel)


def _scatter(panel: Scatter) -> str:
    """One path of strokes without length: their round ends are the dots, a few bytes each."""
    scale = SIDE / (2 * panel.extent)
    dots = "".join(
        f"M{(x + panel.extent) * scale:.1f} {(panel.extent - y) * scale:.1f}h0"
        for x, y in panel.points
        if max(abs(x), abs(y)) <= panel.extent
    )
    return (
        f'<rect width="{SIDE}" height="{SIDE}" fill="none" stroke="{INK}" stroke-opacity="0.2"/>'
        f'<path d="{dots}" stroke="{ACCENT}" stroke-opacity="0.6" stroke-width="1.6" stroke-linecap="round"/>'
    )


def _curve(panel: Curve) -> str:
    left, bottom = 34, SIDE - 34
    highest = max(high for _, high in panel.ranges)
    top = highest + 0.15 * (highest - panel.floor)
    xs = [left + (SIDE - left) * (index + 0.5) / len(panel.places) for index in range(len(panel.places))]

    def y(value: float) -> float:
        return bottom * (1 - (value - panel.floor) / (top - panel.floor))

    parts = [f'<path d="M{left} 0V{bottom}H{SIDE}" fill="none" stroke="{INK}" stroke-opacity="0.5"/>']
    line = "L".join(f"{x:.1f} {y(value):.1f}" for x, value in list(zip(xs, panel.values, strict=True))[: panel.joined])
    parts.append(f'<path d="M{line}" fill="none" stroke="{ACCENT}"/>')
    for x, place, value, (low, high) in zip(xs, panel.places, panel.values, panel.ranges, strict=True):
        parts.append(f'<path d="M{x:.1f} {y(low):.1f}V{y(high):.1f}" stroke="{INK}" stroke-width="1.5"/>')
        parts.append(f'<circle cx="{x:.1f}" cy="{y(value):.1f}" r="3" fill="{ACCENT}"/>')
        parts.append(_text(x + 7, y(value) - 7, f"{value:.2f}", anchor="start"))
        parts.append(_text(x, bottom + 15, place))
    parts.append(_text(left - 5, bottom + 4, f"{panel.floor:.3g}", anchor="end"))
    parts.append(_text((left + SIDE) / 2, SIDE - 3, panel.axis))
    return "".join(parts)


def _bars(panel: Bars) -> str:
    left, bottom, top = 34, SIDE - 34, max(panel.values) * 1.1 or 1.0
    step = (SIDE - left) / len(panel.values)
    parts = []
    for index, (value, group) in enumerate(zip(panel.values, panel.groups, strict=True)):
        height = bottom * value / top
        place = f'x="{left + step * (index + 0.1):.1f}" y="{bottom - height:.1f}" width="{step * 0.8:.1f}"'
        parts.append(f'<rect {place} height="{height:.1f}" fill="{GROUPS[group % len(GROUPS)]}"/>')
    parts.append(f'<path d="M{left} 0V{bottom}H{SIDE}" fill="none" stroke="{INK}" stroke-opacity="0.5"/>')
    parts.append(_text(left - 5, bottom + 4, "0", anchor="end"))
    parts.append(_text(left - 5, bottom * (1 - max(panel.values) / top) + 4, f"{max(panel.values):.0f}", anchor="end"))
    parts.append(_text((left + SIDE) / 2, SIDE - 17, panel.axis))
    return "".join(parts)


def _text(x: float, y: float, text: str, *, size: int = 11, anchor: str = "middle") -> str:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}">{escaped}</text>'
