"""The Edit screen: a level's own grid over the image, what is done to the painted cells, and what that changes."""

from __future__ import annotations

import numpy as np

from app import changing, editing, html, level_strip, mixing, painting, source_fields, stage, words
from app.changing import Edit, Editing
from app.client import Card, Level, SampleImage
from app.editing import Tools
from app.html import attribute, icon, intent, pixels, text
from app.measure import Pixels, decode, signed_map
from app.state import Session
from app.words import tip

BIG, BIG_NARROW, SMALL, SMALL_NARROW, OTHER = 392, 336, 140, 112, 56
BAR = 40
BRUSHES = (1, 3, 7)
FINE = 16  # cells along a side, from which on there is a choice of brush

BELOW = {
    "adapt": ("Below: adapt", "levels below adapt"),
    "stay": ("Below: stay", "levels below keep their values"),
}
SPACES = {
    "noise": ("Noise", "The other image’s noise, which acts under what this image expects there"),
    "latent": ("Latents", "The other image’s values, as they are"),
}
KEEPS_NO_NOISE = "A test image of this model does not tell its noise, as its latents are 0 or 1: levels below stay."
NO_GRID = "Its latents cover the whole image, so all of the level is edited."


def heading(card: Card, session: Session) -> str:
    now = editing.now(session)
    below = changing.below(now.before)
    offered = changing.choices_below(now.before, card)
    buttons = "".join(
        f'<button type="button" {intent("edit_below", below=key)}{html.state("pressed", key == below)}>'
        f"{BELOW[key][0]}</button>"
        for key in offered
    )
    choice = f'<div class="seg" role="group" aria-label="Levels below an edit">{buttons}</div>' if offered else ""
    reason = f'<p class="mut">{KEEPS_NO_NOISE}</p>' if below == "stay" and not offered else ""
    return (
        '<div class="ph"><div><h1>What is in one place of a level?</h1>'
        f"<p>Paint cells of a level and change only those. Levels above are fixed, {BELOW[below][1]}.</p></div>"
        f'<div class="ctl">{choice}<button type="button" class="btn line" {intent("new_seed")}'
        f' title="Another image (N)">{icon(html.DICE)}Another image</button></div></div>{reason}'
    )


def levels(card: Card, now: Editing) -> str:
    """One button a level, and what the chosen one is."""
    level = card.levels[now.level]

    def control(index: int) -> str:
        label = attribute(f"Level {index}, {card.levels[index].label}".rstrip(", "))
        return (
            f'<button type="button" class="ab" {intent("edit_level", level=index)}'
            f'{html.state("pressed", index == now.level)} aria-label="{label}" title="{label}">{index}</button>'
        )

    return (
        f'<section class="card pad chooser" aria-label="Level"><div class="hd"><h2{tip(words.RATE)}>Level {now.level}'
        f' <span class="mut">{_what(level)}</span></h2><span class="mut">Bars: bits, test set mean</span></div>'
        f"{level_strip.strip(card, control, BAR)}</section>"
    )


def board(card: Card, session: Session, after: SampleImage) -> str:
    """The image under the level's grid, and what paints all cells at once."""
    now, level = editing.now(session), card.levels[editing.now(session).level]
    shown = pixels(
        after.url, card.image, BIG, f"{_called(now)}, edited", narrow=BIG_NARROW,
        extra=f'id="edited" data-sha256="{attribute(after.sha256)}"',
    )  # fmt: skip
    size = html.scaled(card.image, BIG)
    canvas = f'<canvas width="{2 * size[0]}" height="{2 * size[1]}" aria-hidden="true"></canvas>'
    if not painting.has_grid(level):
        return (
            f'<section class="card pad" aria-label="Cells"><div class="board">{shown}</div>'
            f'<p class="mut">{NO_GRID}</p></section>'
        )
    grid = f"{level.height} by {level.width}"
    brush = editing.tools(session).brush if _is_fine(level) else 1
    label = f"Cells of level {now.level}, {grid}: {now.cells.count('1')} painted. Arrow keys move, space paints."
    return (
        f'<section class="card pad" aria-label="Cells"><div class="board" id="board" role="application" tabindex="0"'
        f' aria-label="{label}" data-live data-cells="{now.cells}" data-columns="{level.width}"'
        f' data-cells-of="{now.level}" data-brush="{brush}">{shown}{canvas}</div>'
        f"{_toolbar(now, level, editing.tools(session))}</section>"
    )


def changes(card: Card, session: Session, other: SampleImage) -> str:
    """Which image, and the three things that can be done to the painted cells."""
    now, tools = editing.now(session), editing.tools(session)
    source = changing.source_of(now.before)
    explore = f'<option value="explore"{html.flag("selected", source is None)}>the image in Explore</option>'
    return (
        '<section class="card pad deeds" aria-label="What to change"><h2>Image</h2><div class="fields">'
        f"{source_fields.fields(card, 'edit', {'do': 'edit_image'}, source, 'Image to edit', explore)}</div>"
        f"<h2{tip(words.CELLS)}>{_painted(now, card)}"
        f"</h2>{_again(now)}{_swap(card, now, tools, other)}{_cool(now, tools)}</section>"
    )


def result(card: Card, session: Session, before: SampleImage, after: SampleImage) -> str:
    """Before, after and the difference; and the changes, each of which can be taken away."""
    now = editing.now(session)
    difference = decode(after.png) - decode(before.png)
    figures = (
        ("Before", before.url, text(_called(now)), ""),
        ("After", after.url, f"{len(now.edits)} change{'' if len(now.edits) == 1 else 's'}", ""),
        ("Difference", signed_map(difference), "red brighter, blue darker", 'id="edit-difference"'),
    )
    shown = "".join(
        f"<figure>{pixels(url, card.image, SMALL, name, narrow=SMALL_NARROW, extra=extra)}"
        f'<figcaption class="cap"{tip(words.SEED)}><b>{name}</b>{more}</figcaption></figure>'
        for name, url, more, extra in figures
    )
    return (
        f'<section class="card pad edres" aria-label="What changed"><div class="tri">{shown}</div>'
        f"{_figures(card, now, difference)}{_list(card, now)}</section>"
    )


def _what(level: Level) -> str:
    """ "8 × 8 cells, 2.39 bits"."""
    grid = f"{level.height} × {level.width}"
    cells = f"{grid}, no grid" if not painting.has_grid(level) else f"{grid} cells"
    named = f"{text(level.label)}, " if level.label else ""
    return f"{named}{cells}, {html.bits(level.kl_bits)} bits"


def _called(now: Editing) -> str:
    name = changing.name_of(now.before)
    return name[0].upper() + name[1:]


def _is_fine(level: Level) -> bool:
    return max(level.height, level.width) >= FINE


def _toolbar(now: Editing, level: Level, tools: Tools) -> str:
    whole = "".join(
        f'<button type="button" class="btn line" {intent("paint_all", what=key)}>{label}</button>'
        for key, label in (("all", "All"), ("none", "None"), ("invert", "Invert"))
    )
    brushes = "".join(
        f'<button type="button" {intent("edit_tools", brush=size)}{html.state("pressed", size == tools.brush)}'
        f' aria-label="{size} by {size} cells">{size}</button>'
        for size in BRUSHES
    )
    brush = f'<div class="seg" role="group" aria-label="Brush">{brushes}</div>' if _is_fine(level) else ""
    count = f"<b>{now.cells.count('1')}</b> of {len(now.cells)} cells painted"
    return f'<div class="bar2">{whole}{brush}<span class="mut"{tip(words.CELLS)}>{count}</span></div>'


def _painted(now: Editing, card: Card) -> str:
    level = card.levels[now.level]
    if not painting.has_grid(level):
        return f"All of level {now.level}"
    count = now.cells.count("1")
    return f"{count} cell{'' if count == 1 else 's'} of level {now.level}" if count else "Paint at least one cell"


def _deed(name: str, said: str, fields: str, button: str) -> str:
    head = f'<div class="row2"><div><h3>{name}</h3><p class="mut">{said}</p></div>{button}</div>'
    return f'<div class="deed">{head}{fields}</div>'


def _button(now: Editing, how: str, label: str, path: str = "") -> str:
    off = html.flag("disabled", "1" not in now.cells)
    shown = icon(path) if path else ""
    return f'<button type="button" class="btn line" {intent("change", how=how)}{off}>{shown}{label}</button>'


def _again(now: Editing) -> str:
    return _deed("New noise", "The next draw there, by chance.", "", _button(now, "again", "Draw again", html.DICE))


def _swap(card: Card, now: Editing, tools: Tools, other: SampleImage) -> str:
    space = editing.space(tools, card)
    fixed = space != tools.space
    spaces = "".join(
        f'<button type="button" {intent("edit_tools", space=key)}{html.state("pressed", key == space)}'
        f'{html.flag("disabled", fixed and key != space)} title="{about}">{label}</button>'
        for key, (label, about) in SPACES.items()
    )
    image = pixels(other.url, card.image, OTHER, f"The other image, {mixing.name(tools.source)}")
    chooser = source_fields.fields(card, "other", {"do": "edit_other"}, tools.source, "The other image")
    taken = f'<div class="seg" role="group" aria-label="What is taken">{spaces}</div>'
    fields = f'<div class="fields">{image}{chooser}{taken}</div>'
    return _deed("From another image", "What that has there.", fields, _button(now, "swap", "Swap in", html.SWAP))


def _cool(now: Editing, tools: Tools) -> str:
    value = f"{tools.temperature:.2f}"
    slider = (
        '<div class="fields"><label for="cool">Temperature</label><input type="range" id="cool" min="0" max="1.5"'
        f' step="0.05" value="{tools.temperature:g}" aria-valuetext="{value}" data-cool="1"'
        f' title="1 is the prior, 0 its mean"><output for="cool"{tip(words.TEMPERATURE)}>{value}</output></div>'
    )
    said = "The noise that is there, quieter or louder; at zero the mean."
    return _deed("Temperature", said, slider, _button(now, "cool", "Set there"))


def _figures(card: Card, now: Editing, difference: Pixels) -> str:
    """How much changed, and how much of that where it was painted."""
    if not now.edits:
        return '<p class="mut edfig">Nothing is changed yet. Choose what to do with the painted cells.</p>'
    change = np.abs(difference).mean(axis=-1)
    inside = changing.place(now.edits, card)
    share = 100 * float(change[inside].sum() / change.sum()) if change.any() else 0.0
    return (
        '<p class="edfig"><span title="Mean absolute change of all pixels, of 255 grey levels">Mean change '
        f'<b>{255 * float(change.mean()):.1f}</b> grey levels</span> <span title="The painted cells lie over '
        f'{100 * float(inside.mean()):.0f} % of the image"><b>{share:.0f} %</b> of it in the painted place</span></p>'
    )


def _list(card: Card, now: Editing) -> str:
    rows = "".join(
        f"<li><span{tip(f'{words.CELLS}. {words.DRAWN}')}>{_said(card, edit)}</span>"
        f'<button type="button" class="mini" {intent("drop_change", index=index)}'
        f' aria-label="Remove change {index + 1}" title="Remove this change">{icon(html.CLOSE)}</button></li>'
        for index, edit in enumerate(now.edits)
    )
    explore = (
        f'<button type="button" class="btn small" {intent("edit_explore")}>{icon(html.FORTH)}Open in Explore</button>'
    )
    return (
        f'<div class="hd edlist"><h2>Changes</h2>{explore}</div>'
        f'<ol class="deeds-done" tabindex="0" aria-label="Changes">{rows}</ol>'
    )


def _said(card: Card, edit: Edit) -> str:
    """ "Level 5, 4 of 64 cells: drawn again, draw 2"."""
    level = card.levels[edit["levels"][0]]
    cells = painting.under(edit.get("mask"), level)
    where = f"<b>Level {html.span(edit['levels'])}</b>, " + (
        f"{cells.count('1')} of {len(cells)} cells" if "mask" in edit else "all of it"
    )
    if edit["op"] == "swap":
        return f"{where}: {SPACES[edit['space']][0].lower()} of {text(stage.name_of(edit['source']))}"
    if edit["op"] != "resample":
        return f"{where}: {'kept' if edit['op'] == 'keep' else 'part of the way to another image'}"
    if edit["mode"] == "mean":
        return f"{where}: the mean of its prior"
    if "temperature" in edit:
        return f"{where}: temperature {edit['temperature']:.2f}"
    return f"{where}: drawn again, draw {edit['draw']}"
