"""The temperature rail: every level with its bits, its handle, its dice and its lock.

On the track the bar is the rate and the handle is the temperature; they are two scales, so both are numbers too.
Each handle is a native range input over positions of the track; `static/strata.js` turns positions into temperatures
and sends the whole rail as one value.
"""

from __future__ import annotations

import json

from app import html, recipes, words
from app.client import Card, Group, Level
from app.html import attribute, icon, intent, text
from app.laddering import inactive
from app.state import MANY_LEVELS, Session
from app.temperature import PRESETS, TICKS, in_words, position, with_locks
from app.words import tip

POSITIONS = 1000  # steps of the native range input

PRESET_NAMES = {
    "flat": ("Flat", "1 everywhere: the prior"),
    "linear": ("Linear", "0.90 at the top, falling evenly to 0.60"),
    "mean_below": ("Mean below", "1 down to the selected level, the mean of the prior below it"),
    "cosine": ("Cosine", "0.90 at the top, falling to 0.60 along half a cosine"),
}


def rail(card: Card, session: Session) -> str:
    values = recipes.temperature(session.recipe)
    rows = "".join(_group(card, session, group) for group in card.groups)
    data = attribute(json.dumps(values))
    locks = attribute(json.dumps(sorted(session.view.locks)))
    groups = attribute(json.dumps([group.levels for group in card.groups]))
    return (
        '<section class="card rail" aria-label="Temperature by level">'
        f'<div class="rt"><h2>Temperature by level</h2>'
        f'<span class="mut"{tip(words.TEMPERATURE)}>{in_words(values)}</span></div>'
        f"{_presets(card, session)}{axis('Bits', '', '')}"
        f'<div class="rows" data-live="1" data-rail="{data}" data-locks="{locks}" data-groups="{groups}"'
        f' style="--rows:{len(card.levels) + len(card.groups)};--gaps:{max(1, len(card.groups) - 1)}"'
        f' data-default="{card.temperature.default}" data-many="{int(folds(card))}">{rows}</div>'
        f"{_foot(card)}</section>"
    )


def folds(card: Card) -> bool:
    """Whether groups are one row each until they are opened."""
    return len(card.levels) > MANY_LEVELS


def _presets(card: Card, session: Session) -> str:
    now = recipes.temperature(session.recipe)
    presets = {
        name: with_locks(PRESETS[name](len(card.levels), session.view.level), now, session.view.locks)
        for name in PRESET_NAMES
    }
    chosen = next((name for name, values in presets.items() if values == now), None)  # two may be the same
    buttons = [
        f'<button type="button" {intent("preset", name=name)}{html.state("pressed", name == chosen)}'
        f' title="{attribute(title)}">{label}</button>'
        for name, (label, title) in PRESET_NAMES.items()
    ]
    return f'<div class="rhead"><div class="seg" role="group" aria-label="Presets">{"".join(buttons)}</div></div>'


def axis(*columns: str) -> str:
    """The scale of the tracks, and the names of the columns after the temperature."""
    ticks = "".join(
        f'<span style="left:{position(tick):.1f}%">{f"{tick:g}".removeprefix("0") or "0"}</span>' for tick in TICKS
    )
    heads = "".join(f'<span class="tr">{column}</span>' for column in ("T", *columns))
    return (
        f'<div class="axis" aria-hidden="true"><span></span><div class="ticks"{tip(words.TEMPERATURE)}>{ticks}</div>'
        f"{heads}</div>"
    )


def _group(card: Card, session: Session, group: Group) -> str:
    count = len(group.levels)
    rate = f"{html.bits(group.kl_bits, 1)} bits, {html.percent(group.kl_bits, card.bits)} %"
    name = html.group_name(group.name)
    opened = not folds(card) or group.name in session.view.open
    title = f'{name}<em>{count} level{"s" if count > 1 else ""}</em><span class="gb">{rate}</span>'
    if folds(card):
        title = (
            f'<button type="button" class="fold" {intent("open", group=group.name)}{html.state("expanded", opened)}>'
            f"{icon(html.FORTH)}{title}</button>"
        )
    rows = "".join(_row(card, session, card.levels[level]) for level in group.levels) if opened else ""
    if not opened or len(group.levels) > MANY_LEVELS:
        rows = _group_row(card, session, group) + rows
    return (
        f'<section class="grp" style="{html.fill(card, group.name)}" role="group"'
        f' aria-label="{html.spoken(group.name)} levels"><h3{tip(words.SHARE)}>{title}</h3>{rows}</section>'
    )


def _row(card: Card, session: Session, level: Level) -> str:
    index = level.index
    value = session.recipe["temperature"][index]
    selected, locked = index == session.view.level, index in session.view.locks
    held = index in recipes.held(session.recipe)
    dead = inactive(level)
    classes = " ".join(["lrow", *(["sel"] if selected else []), *(["dead"] if dead else [])])
    draw = recipes.draw(session.recipe, index)
    title = f"Draw {draw}. Draw level {index} again" + " (R)" * selected
    if held:
        title = "Comes from another image, or an edit draws it"
    label = f"Level {index}, {html.spoken(level.group)}, temperature"
    named = tip(level.label or words.LEVEL)
    return (
        f'<div class="{classes}" data-level="{index}">'
        f'<button type="button" class="no" {intent("level", level=index)} aria-label="Select level {index}"{named}'
        f"{html.flag('aria-current=true', selected)}>{index}</button>"
        f"{track(value, _bar(_width(card, level.kl_bits)), label, [index], locked)}"
        f'<output class="t"{tip(words.TEMPERATURE)}>{value:.2f}</output>'
        f'<span class="b"{tip(words.RATE)}>{"inactive" if dead else html.bits(level.kl_bits)}</span>'
        f'<button type="button" class="mini{" on" if draw else ""}" {intent("draw", level=index)}'
        f' aria-label="Draw level {index} again" title="{title}"{html.flag("disabled", locked or held)}>'
        f"{icon(html.DICE)}</button>"
        f'<button type="button" class="mini{" on" if locked else ""}" {intent("lock", level=index)}'
        f' aria-label="Lock level {index}"{html.state("pressed", locked)}>'
        f"{icon(html.LOCKED if locked else html.UNLOCKED)}</button></div>"
    )


def _group_row(card: Card, session: Session, group: Group) -> str:
    """A folded or a very long group: one handle, at the mean of its levels, that moves them all."""
    temperatures = [session.recipe["temperature"][level] for level in group.levels]
    mean = sum(temperatures) / len(temperatures)
    locked = set(group.levels) <= session.view.locks
    label = f"{html.spoken(group.name)}, all {len(group.levels)} levels, temperature"
    widest = max((other.kl_bits or 0.0) for other in card.groups)
    width = 0.0 if not widest else 98 * (group.kl_bits or 0.0) / widest
    return (
        f'<div class="lrow"><span class="no" aria-hidden="true">all</span>'
        f"{track(mean, _bar(width), label, list(group.levels), locked)}"
        f'<output class="t"{tip(words.TEMPERATURE)}>{mean:.2f}</output>'
        f'<span class="b"{tip(words.RATE)}>{html.bits(group.kl_bits, 1)}</span>'
        "<span></span><span></span></div>"
    )


def track(value: float, bars: str, label: str, levels: list[int], locked: bool) -> str:
    """A handle at temperature `value` over the bars of what it moves, of which `levels` tells the page."""
    at = round(position(value) / 100 * POSITIONS)
    return (
        f'<div class="track">{bars}'
        f'<i class="one" style="left:{position(1.0):.1f}%"></i>'
        f'<input type="range" min="0" max="{POSITIONS}" step="1" value="{at}" data-levels="{json.dumps(levels)}"'
        f' aria-label="{label}"{tip(words.TEMPERATURE)}'
        f' aria-valuetext="{value:.2f}"{html.flag("disabled", locked)}></div>'
    )


def _bar(width: float) -> str:
    return f'<i class="bar" style="width:{width:.1f}%"></i>'


def _width(card: Card, rate: float | None) -> float:
    """Width of a level's bar in percent: the busiest level nearly fills the track."""
    widest = max((level.kl_bits or 0.0) for level in card.levels)
    return 0.8 if not widest or not rate else max(0.8, 98 * rate / widest)


def _foot(card: Card) -> str:
    if card.bits is None:
        said = "The rate of this model was not measured. Dashed line: T = 1, the prior."
        return f'<p class="rfoot"{tip(words.TEMPERATURE)}>{said}</p>'
    images = next((f"{metric.images:,} {text(metric.split)} images" for metric in card.metrics), "the test set")
    return (
        f'<p class="rfoot"{tip(words.RATE)}><i class="key"></i>Bar: bits carried, mean of {images}, '
        f"<b>{card.bits:.1f}</b> in all. "
        "Dashed line: T = 1, the prior.</p>"
    )
