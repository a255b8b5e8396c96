"""The small pieces that every part of the screen is made of: escaping, icons, exact pixels, colours of groups.

A piece of HTML is a `str`; whatever comes from a card, an answer or a person goes through `text` or `attribute`.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from typing import Any

from app.client import Card, ImageSize

DICE = (
    '<rect x="2.5" y="2.5" width="11" height="11" rx="2.5"/><circle cx="5.8" cy="5.8" r=".9" class="f"/>'
    '<circle cx="10.2" cy="10.2" r=".9" class="f"/><circle cx="10.2" cy="5.8" r=".9" class="f"/>'
    '<circle cx="5.8" cy="10.2" r=".9" class="f"/>'
)
LOCKED = '<rect x="3.5" y="7" width="9" height="6.5" rx="1.5" class="f"/><path d="M5.5 7V5a2.5 2.5 0 0 1 5 0v2"/>'
UNLOCKED = '<rect x="3.5" y="7" width="9" height="6.5" rx="1.5"/><path d="M5.5 7V5a2.5 2.5 0 0 1 4.8-1"/>'
UNDO = '<path d="M6 3 3 6l3 3M3.2 6H9a4 4 0 0 1 0 8H7"/>'
REDO = '<path d="m10 3 3 3-3 3M12.8 6H7a4 4 0 0 0 0 8h2"/>'
LINK = (
    '<path d="M6.8 9.2a2.6 2.6 0 0 0 3.7 0l2.3-2.3a2.6 2.6 0 0 0-3.7-3.7l-.9.9'
    'M9.2 6.8a2.6 2.6 0 0 0-3.7 0L3.2 9.1a2.6 2.6 0 0 0 3.7 3.7l.9-.9"/>'
)
THEME = '<circle cx="8" cy="8" r="5.5"/><path d="M8 2.5a5.5 5.5 0 0 1 0 11z" class="f"/>'
DOWNLOAD = '<path d="M8 2.8V11M4.8 8 8 11.2 11.2 8M3 13.2h10"/>'
GRID = (
    '<rect x="2.5" y="2.5" width="4.4" height="4.4" rx="1"/><rect x="9.1" y="2.5" width="4.4" height="4.4" rx="1"/>'
    '<rect x="2.5" y="9.1" width="4.4" height="4.4" rx="1"/><rect x="9.1" y="9.1" width="4.4" height="4.4" rx="1"/>'
)
BACK = '<path d="m9.5 4-4 4 4 4"/>'
FORTH = '<path d="m6.5 4 4 4-4 4"/>'
SWAP = '<path d="M4 5.5h8.5L10 3M12 10.5H3.5L6 13"/>'
PNG = "data:image/png;base64,"
CHEVRON = '<svg viewBox="0 0 16 16" class="ic" aria-hidden="true"><path d="m5 6.5 3 3 3-3"/></svg>'
CLOSE = '<path d="m4.5 4.5 7 7m0-7-7 7"/>'

# The four fills of the design, light and dark, coarsest first.
FILLS = {
    "light": ((31, 42, 133), (63, 81, 206), (107, 124, 228), (152, 165, 239)),
    "dark": ((213, 220, 255), (166, 179, 255), (119, 135, 242), (82, 98, 204)),
}


def text(value: object) -> str:
    return html.escape(str(value), quote=False)


def attribute(value: object) -> str:
    return html.escape(str(value), quote=True)


def intent(do: str, **fields: Any) -> str:
    """The attribute that makes an element send this intent when it is used."""
    return f'data-intent="{attribute(json.dumps({"do": do, **fields}))}"'


def flag(name: str, on: bool) -> str:
    """A boolean attribute of HTML, such as `disabled`."""
    return f" {name}" if on else ""


def state(name: str, on: bool) -> str:
    """An ARIA state, which is always said: `aria-pressed="false"`."""
    return f' aria-{name}="{"true" if on else "false"}"'


def icon(path: str) -> str:
    return f'<svg viewBox="0 0 16 16" class="ic" aria-hidden="true">{path}</svg>'


def pixels(source: str, size: ImageSize, box: int, alt: str, narrow: int | None = None, extra: str = "") -> str:
    """An image enlarged by the largest whole number that fits `box` pixels (`narrow` on narrow pages).

    An image larger than the box is shown at the box's size: there is no whole number left.
    """
    wide, slim = scaled(size, box), scaled(size, narrow or box)
    smooth = " smooth" if max(size.height, size.width) > box else ""
    style = f"--w:{wide[0]}px;--h:{wide[1]}px;--wn:{slim[0]}px;--hn:{slim[1]}px"
    return f'<img class="px{smooth}" style="{style}" src="{attribute(source)}" alt="{attribute(alt)}" {extra}>'


def scaled(size: ImageSize, box: int) -> tuple[int, int]:
    """Width and height on the screen: a whole multiple if the image is not larger than the box."""
    longest = max(size.height, size.width)
    if longest <= box:
        return size.width * (box // longest), size.height * (box // longest)
    return max(1, size.width * box // longest), max(1, size.height * box // longest)


def colour_bar(colours: Iterable[Iterable[float]], top: str, about: str, wide: bool = True) -> str:
    """The scale of a map, from 0 to `top` with its unit."""
    ramp = ",".join("rgb({:.0f},{:.0f},{:.0f})".format(*colour) for colour in colours)
    return (
        f'<div class="cbar{" wide" if wide else ""}" title="{attribute(about)}">'
        f'<i style="background:linear-gradient(90deg,{ramp})"></i><div><span>0</span><span>{text(top)}'
        f"</span></div></div>"
    )


def group_name(name: str) -> str:
    """ "8x8" as people write it: "8 × 8"."""
    return text(name).replace("x", " × ")


def spoken(name: str) -> str:
    """ "8x8" as people say it: "8 by 8"."""
    return attribute(name).replace("x", " by ")


def bits(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def percent(part: float | None, whole: float | None, digits: int = 0) -> str:
    return "–" if part is None or not whole else f"{100 * part / whole:.{digits}f}"


def place(index: int, count: int) -> float:
    """Where group `index` of `count` stands between the first fill (0) and the last (3)."""
    return 3 * index / (count - 1) if count > 1 else 0.0


def fill(card: Card, group: str) -> str:
    """CSS variables of a resolution: `--g`, its fill, and `--on`, the ink on it."""
    names = [other.name for other in card.groups]
    return shade(names.index(group), len(names))


def shade(index: int, count: int) -> str:
    """The same for resolution `index` of `count`, coarsest first."""
    at = place(index, count)
    low = int(at)
    share = round(100 * (at - low))
    colour = f"var(--g{low})" if not share else f"color-mix(in srgb,var(--g{low + 1}) {share}%,var(--g{low}))"
    return f"--g:{colour};--on:var(--on{round(at)})"


def fill_rgb(card: Card, group: str, theme: str) -> str:
    """The same fill for a plot, which knows no CSS variables."""
    names = [other.name for other in card.groups]
    at = place(names.index(group), len(names))
    low = min(int(at), 2)
    mixed = [round(a + (b - a) * (at - low)) for a, b in zip(FILLS[theme][low], FILLS[theme][low + 1], strict=True)]
    return "rgb({},{},{})".format(*mixed)


def span(levels: Sequence[int]) -> str:
    """ "4–14", "3", or "1, 5–6": level numbers in a row, runs joined."""
    runs: list[list[int]] = []
    for level in sorted(levels):
        if runs and level == runs[-1][-1] + 1:
            runs[-1].append(level)
        else:
            runs.append([level])
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
