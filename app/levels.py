"""The Levels screen: the whole hierarchy on one page, each level drawn again in a row of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from app import html, inspector, laddering, stage, words
from app.client import Card, Ladder, LadderRow, SampleImage
from app.html import attribute, icon, intent, pixels
from app.laddering import COLUMNS, Part, inactive
from app.measure import VIRIDIS, Effect, strength, where
from app.state import Session
from app.words import tip

IMAGE, TILE = 56, 56

BELOW = {
    "mean": ("Mean", "levels below take the mean of their prior"),
    "noise": ("Same noise", "levels below keep their noise"),
    "resample": ("Drawn again", "levels below are drawn again too"),
}
NO_NOISE = "A test image of this model does not tell its noise: its latents are 0 or 1"


def heading(card: Card, session: Session, image: SampleImage | None) -> str:
    """The question, the image that it is asked of, and the choices."""
    ladder, recipe = laddering.view(session), session.recipe
    shown = ""
    if image:
        extra = f'id="base" data-sha256="{attribute(image.sha256)}"'
        shown = pixels(image.url, card.image, IMAGE, f"The image itself, seed {image.seed}", extra=extra)
    now = laddering.below(card, ladder, recipe)
    said = f"Seed {image.seed}. " if image else ""
    one = "one level" if ladder.rows == "levels" else "one resolution"
    rows = [("levels", "Levels"), ("groups", "Groups")] if len(card.groups) > 1 else []
    return (
        f'<div class="ph">{shown}<div><h1>What does each level control?</h1>'
        f"<p{tip(words.SEED)}>{said}In each row {one} is drawn again."
        f" Levels above are fixed, {BELOW[now][1]}.</p></div>"
        f'<div class="ctl">{_choice("Rows", "rows", rows, ladder.rows)}'
        f"{_choice('Below the level', 'below', [(key, name) for key, (name, _) in BELOW.items()], now)}"
        f'<button type="button" class="btn line" {intent("ladder_again")}>{icon(html.DICE)}Draw all again</button>'
        "</div></div>"
        + (f'<p class="mut">{NO_NOISE}.</p>' if not laddering.has_noise(card, recipe) else "")
        + stage.note(session)
    )


def waiting(card: Card, session: Session) -> str:
    """What is being computed. It appears only if that takes a while."""
    asked = laddering.question(card, laddering.view(session), session.recipe)
    return (
        f'<div class="stat later"><p role="status"{tip(words.DRAWN)}>Drawing {len(asked["rows"])} rows again,'
        f" {asked['draws']} draws each</p></div>"
    )


def grid(card: Card, session: Session, found: Ladder) -> str:
    """Two columns of rows, and what it comes to by resolution."""
    shown = laddering.parts(card, laddering.view(session))
    rows = {row.levels: row for row in found.rows}
    left, right = laddering.columns(shown)
    groups = {group.name: _effect(rows[group.levels], found.draws) for group in card.groups if group.levels in rows}
    second = _column(card, session, right, rows) if right else ""
    return (
        f'<div class="two-col">{_column(card, session, left, rows)}<div class="col2">{second}'
        f'<section class="card pad lsum">{inspector.foot(card, groups)}{_legend(found)}</section></div></div>'
    )


def _choice(label: str, field: str, options: Sequence[tuple[str, str]], now: str) -> str:
    if not options:
        return ""
    buttons = "".join(
        f'<button type="button" {intent("ladder_view", **{field: key})}{html.state("pressed", key == now)}>'
        f"{name}</button>"
        for key, name in options
    )
    return (
        f'<div><span class="lab1" id="lab-{field}">{label}</span>'
        f'<div class="seg" role="group" aria-labelledby="lab-{field}">{buttons}</div></div>'
    )


def _column(card: Card, session: Session, parts: Sequence[Part], rows: dict[tuple[int, ...], LadderRow]) -> str:
    inside = "".join(_part(card, session, part, rows) for part in parts)
    return (
        '<section class="card lad" tabindex="0" aria-label="Levels drawn again"><div class="lhead" aria-hidden="true"'
        f"{tip(words.DRAWN)}>"
        f"<span>Level</span><span>Drawn again, {COLUMNS} draws</span><span>Change</span><span>In words</span></div>"
        f"{inside}</section>"
    )


def _part(card: Card, session: Session, part: Part, rows: dict[tuple[int, ...], LadderRow]) -> str:
    group = next(group for group in card.groups if group.name == part.group)
    count = len(group.levels)
    title = f"{count} level{'s' if count > 1 else ''}" + (", continued" if part.continued else "")
    inside = "".join(_row(card, session, rows[levels]) for levels in part.rows if levels in rows)
    return (
        f'<section class="lg" style="{html.fill(card, part.group)}"><h2{tip(words.SHARE)}>{html.group_name(part.group)}'
        f" <span>{title}</span><em>{html.bits(group.kl_bits, 1)} bits, {html.percent(group.kl_bits, card.bits)} %</em>"
        f"</h2>{_hidden(card, part)}{inside}</section>"
    )


def _hidden(card: Card, part: Part) -> str:
    """The inactive levels in one line, with their rates while there are few."""
    if not part.hidden:
        return ""
    rates = [card.levels[level].kl_bits or 0.0 for level in part.hidden]
    said = f"{rates[0]:.2f}" if len(rates) == 1 else f"{min(rates):.2f} to {max(rates):.2f}"
    numbers = html.span(part.hidden) if len(part.hidden) <= 6 else f"{len(part.hidden)} levels"
    return (
        f'<div class="inact"{tip(words.RATE)}><span class="tag">inactive</span><b>{numbers}</b>'
        f" carr{'y' if len(rates) > 1 else 'ies'} {said} bits; hidden."
        f'<button type="button" class="btn small" {intent("ladder_view", hidden=False)}>Show</button></div>'
    )


def _row(card: Card, session: Session, row: LadderRow) -> str:
    single = len(row.levels) == 1
    first = card.levels[row.levels[0]]
    name = str(first.index) if single else html.group_name(first.group)
    what = f"level {name}" if single else f"{name} levels"
    selected = session.view.level in row.levels
    cells = "".join(
        f'<button type="button" class="plain" {intent("cell", levels=row.levels, draw=cell.draw)}'
        f' title="Open in Explore">'
        f"{pixels(cell.url, card.image, TILE, f'{what}, draw {cell.draw}', extra=_sha(cell.sha256))}</button>"
        for cell in row.cells
    )
    tag = ' <span class="tag">inactive</span>' if single and inactive(first) else ""
    label = tip(f"{first.label}. {words.SHARE}" if single and first.label else words.SHARE)
    return (
        f'<div class="lr{" sel" if selected else ""}" data-level="{first.index}">'
        f'<button type="button" class="n" {intent("level", level=first.index)} aria-label="Select {what}"{label}'
        f"{html.flag('aria-current=true', selected)}>{name}<small>{_bits(row.kl_bits)} bits</small>"
        f"{_share(row)}</button>{cells}"
        f'<div class="mp">{pixels(row.change.url, card.image, TILE, f"Where {what} acts")}</div>'
        f'<div class="tx"{tip(words.moved(card))}><b>{_words(card, row)}.{tag}</b>'
        f"<span>{_moves(card, row)}</span></div></div>"
    )


def _words(card: Card, row: LadderRow) -> str:
    """How much of the picture changes, and where most of that is; where hardly anything does, no place is named."""
    how, place = inspector.reach(card, _moved(row)), where(strength(row.change.png))
    return f"{how}, most {place}" if place and how not in (inspector.REACH[-1][1], inspector.REACH[0][1]) else how


def _bits(rate: float | None) -> str:
    return html.bits(rate, 2 if (rate or 0.0) < 10 else 1)


def _share(row: LadderRow) -> str:
    if row.share is None:
        return ""
    share = f"{100 * row.share:.{0 if row.share >= 0.01 else 1}f} %"
    return f'<small>{share}<span class="vh"> of all bits</span></small>'


def _moves(card: Card, row: LadderRow) -> str:
    if card.image.channels > 1:
        return f"{row.mean_change:.1f} grey levels change"
    return f"{100 * _moved(row):.0f} % of the ink moves"


def _moved(row: LadderRow) -> float:
    return row.mean_change if row.ink_moved is None else row.ink_moved


def _effect(row: LadderRow, count: int) -> Effect:
    return Effect(_moved(row), np.zeros((1, 1)), count)


def _sha(sha256: str) -> str:
    return f'data-sha256="{attribute(sha256)}"'


def _legend(found: Ladder) -> str:
    scale = found.scales["change"]
    return (
        f'<div class="legend">{html.colour_bar(VIRIDIS, f"{scale.top:.0f} {scale.unit}", words.CHANGE)}'
        f"<p{tip(words.DRAWN)}><b>Change</b>: mean change of each pixel over {found.draws} draws."
        f" One scale for all rows.</p>"
        "</div>"
    )
