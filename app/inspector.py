"""The right of the Explore screen: what the selected level is, what every level does, where the bits are."""

from __future__ import annotations

from collections.abc import Mapping

from app import html
from app.client import Card, Level
from app.html import intent, pixels, text
from app.laddering import inactive
from app.measure import VIRIDIS, Effect, heat_map, scale_of
from app.state import Session

MAP, TILE = 112, 56

TABS = {"effect": ("Effect", "r-effect"), "bits": ("Bits", "bits")}  # with what each shows

# Words for a share of ink moved, or of the grey scale in colour, each from its lower bound on.
REACH = (
    (0.40, "Redraws the whole picture"),
    (0.20, "Changes the main parts"),
    (0.08, "Changes strokes and edges"),
    (0.01, "Changes small details"),
    (0.00, "Hardly changes anything"),
)
REACH_COLOUR = (
    (0.10, "Redraws the whole picture"),
    (0.04, "Changes the main parts"),
    (0.015, "Changes shapes and textures"),
    (0.002, "Changes small details"),
    (0.000, "Hardly changes anything"),
)
GENEROUS = 2.0  # more than this many times the average rate is "many bits", less than its inverse "few"

Effects = Mapping[int, Effect]  # by level


def sentence(card: Card, level: Level, effect: Effect | None) -> str:
    """What a level does, from its rate and its effect by fixed thresholds, never from a list of models."""
    if inactive(level):
        return "Inactive: carries next to nothing, and the rest does without it."
    cost = _cost(card, level)
    if effect is None:
        return f"Carries {cost}." if cost else ""
    words = reach(card, effect.moved)
    return f"{words} with {cost}." if cost else f"{words}."


def head(card: Card, session: Session, effects: Effects) -> str:
    """The selected level: a sentence, its rate and share, how much it moves, and where."""
    level = card.levels[session.view.level]
    effect = effects.get(level.index)
    unit = "grey levels" if card.image.channels > 1 else "%"
    moved = "–" if effect is None else amount(card, effect)
    return (
        f'<div class="lev" style="{html.fill(card, level.group)}"><div><h2><span class="pill">{level.index}</span>'
        f'Level {level.index}<span class="mut">{_what(level)}</span></h2>'
        f'<p class="say">{sentence(card, level, effect)}</p><dl class="nums">'
        f"<div><dt>Rate</dt><dd>{html.bits(level.kl_bits)} <small>bits</small></dd></div>"
        f"<div><dt>Share</dt><dd>{html.percent(level.kl_bits, card.bits, 1)} <small>%</small></dd></div>"
        f"<div><dt>{moved_name(card)}</dt><dd>{moved} <small>{unit}</small></dd></div></dl></div>"
        f'<div class="mapbox">{_map(card, effect, effects, MAP, f"Where level {level.index} acts")}</div></div>'
    )


def _what(level: Level) -> str:
    """Its own name, if it has one, or its resolution; and how many numbers it is."""
    return f"{text(level.label) or html.group_name(level.group)}, {level.size:,} latent{'s' if level.size > 1 else ''}"


def tabs(session: Session) -> str:
    buttons = "".join(
        f'<button type="button" role="tab" id="itab-{key}" {intent("tab", name=key)} aria-controls="{panel}"'
        f'{html.state("selected", key == session.view.tab)} tabindex="{0 if key == session.view.tab else -1}">'
        f"{label}</button>"
        for key, (label, panel) in TABS.items()
    )
    return f'<div class="itabs" role="tablist" aria-label="Inspector">{buttons}</div>'


def effect_pane(card: Card, session: Session, effects: Effects, draws: int) -> str:
    """One change map a level, one row a resolution, all on one colour scale."""
    if len(effects) < len(card.levels):
        return f'<div class="pane">{_note(card, None, draws)}{_offer(card, draws)}</div>'
    note = _note(card, scale_of(list(effects.values())), draws)
    beside = len(card.groups[0].levels) == 1  # the coarsest row leaves room for the legend
    rows = [] if beside else [note]
    for index, group in enumerate(card.groups):
        tiles = "".join(_tile(card, session, effects, level) for level in group.levels)
        row = f'<div class="fxrow" role="group" aria-label="{html.spoken(group.name)}">{tiles}</div>'
        rows.append(
            f'<div class="fxg beside">{row}{note}</div>' if beside and index == 0 else f'<div class="fxg">{row}</div>'
        )
    return f'<div class="pane">{"".join(rows)}</div>'


def foot(card: Card, groups: Mapping[str, Effect]) -> str:
    """Bits against effect, by resolution: what is dear and what matters are not the same."""
    if card.bits is None or len(groups) < len(card.groups):
        return ""
    widest = max(effect.moved for effect in groups.values()) or 1.0
    rows = "".join(
        f'<div class="sr" style="{html.fill(card, group.name)}"><span><i></i>{html.group_name(group.name)}</span>'
        f"{_bar(100 * (group.kl_bits or 0) / card.bits, f'{html.percent(group.kl_bits, card.bits)} %')}"
        f"{_bar(80 * groups[group.name].moved / widest, with_unit(card, groups[group.name]))}</div>"
        for group in card.groups
    )
    return (
        '<div class="sum"><h2>Bits against effect, by resolution</h2><div class="split">'
        f'<div class="sr sh"><span></span><span>Bits</span><span>{moved_name(card)}</span></div>{rows}</div></div>'
    )


def reach(card: Card, moved: float) -> str:
    """How much of the picture that is, in words: of its ink (0 to 1), or in colour in grey levels (0 to 255)."""
    colour = card.image.channels > 1
    share = moved / 255 if colour else moved
    return next(words for bound, words in (REACH_COLOUR if colour else REACH) if share >= bound)


def moved_name(card: Card) -> str:
    return "Change" if card.image.channels > 1 else "Ink moved"


def amount(card: Card, effect: Effect) -> str:
    return f"{effect.moved:.1f}" if card.image.channels > 1 else f"{100 * effect.moved:.0f}"


def with_unit(card: Card, effect: Effect) -> str:
    return amount(card, effect) + ("" if card.image.channels > 1 else " %")


def _cost(card: Card, level: Level) -> str:
    """Its share of the bits, and how that compares with the average level's."""
    if level.kl_bits is None or not card.bits:
        return ""
    share = 100 * level.kl_bits / card.bits
    ratio = level.kl_bits * len(card.levels) / card.bits
    if ratio > GENEROUS:
        return f"many bits, {share:.0f}\u00a0% of all"
    if ratio < 1 / GENEROUS:
        return f"few bits, {share:.1f}\u00a0% of all"
    return f"{share:.0f}\u00a0% of the bits"


def _note(card: Card, top: float | None, draws: int) -> str:
    ramp = ",".join("rgb({:.0f},{:.0f},{:.0f})".format(*colour) for colour in VIRIDIS)
    bar = (
        f'<div class="cbar"><i style="background:linear-gradient(90deg,{ramp})"></i>'
        f"<div><span>0</span><span>{top:.2f}</span></div></div>"
        if top is not None
        else ""
    )
    unit = "mean change in grey levels" if card.image.channels > 1 else "% of ink moved"
    return (
        '<div class="note"><p><b>Where each level acts</b><br>'
        f"Pixel deviation over {draws} draws; {unit}.</p>{bar}</div>"
    )


def _offer(card: Card, draws: int) -> str:
    total = len(card.levels) * draws
    return (
        '<p class="offer"><button type="button" class="btn line" '
        f"{intent('measure')}>Measure all {len(card.levels)} levels</button>"
        f'<span class="mut">{total:,} images of this size; may take a while.</span></p>'
    )


def _tile(card: Card, session: Session, effects: Effects, level: int) -> str:
    effect = effects[level]
    spoken = f"Level {level}, {with_unit(card, effect)} {moved_name(card).lower()}"
    return (
        f'<button type="button" class="fx" data-level="{level}" {intent("level", level=level)}'
        f'{html.state("pressed", level == session.view.level)} aria-label="{spoken}">'
        f"{_map(card, effect, effects, TILE, '')}<span><b>{level}</b>{with_unit(card, effect)}</span></button>"
    )


def _map(card: Card, effect: Effect | None, effects: Effects, box: int, alt: str) -> str:
    if effect is None:
        return ""
    return pixels(heat_map(effect.deviation, scale_of(list(effects.values()))), card.image, box, alt)


def _bar(width: float, label: str) -> str:
    return f'<span class="hb"><i style="width:{min(width, 80):.0f}%"></i><b>{label}</b></span>'
