"""All levels side by side, each under the bits that it carries, for Mix and Edit to choose from."""

from __future__ import annotations

from collections.abc import Callable

from app import html, words
from app.client import Card
from app.words import tip

BAR, BAR_WRAPPED = 92, 24  # height of the busiest level's bar
WRAPPED = 64  # from this many levels on, they go over several lines


def strip(card: Card, control: Callable[[int], str], bar: int = BAR) -> str:
    """A column a level: its bar, at most `bar` pixels high, and what `control` makes of its number."""
    wrapped = len(card.levels) >= WRAPPED
    columns = f"grid-template-columns:repeat({'auto-fill' if wrapped else len(card.levels)},minmax(24px,1fr))"
    highest = BAR_WRAPPED if wrapped else bar
    levels = "".join(_column(card, level, control(level), highest) for level in range(len(card.levels)))
    groups = "".join(
        f'<span style="{html.fill(card, group.name)};grid-column:span {len(group.levels)}"{tip(words.RESOLUTION)}>'
        f"{html.group_name(group.name)}</span>"
        for group in card.groups
    )
    below = "" if wrapped else f'<div class="gl" style="{columns}">{groups}</div>'
    return (
        f'<div class="switches{" wrapped" if wrapped else ""}">'
        f'<div class="sw15" style="{columns};--bar:{highest}px">{levels}</div>{below}</div>'
    )


def _column(card: Card, level: int, control: str, highest: int) -> str:
    rate = card.levels[level].kl_bits
    widest = max((other.kl_bits or 0.0) for other in card.levels) or 1.0
    height = max(2, round(highest * (rate or 0.0) / widest))
    return (
        f'<div class="c" style="{html.fill(card, card.levels[level].group)}">'
        f'<span class="colb" title="{html.bits(rate)} bits. {words.RATE}"><i style="height:{height}px"></i>'
        f"</span>{control}</div>"
    )
