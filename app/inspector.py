"""The right of the Explore screen: what the selected level is, what every level does, where the bits are."""

from __future__ import annotations

from collections.abc import Mapping

from app import curve, html, words
from app.client import Card, Level, Progressive, RateMaps
from app.html import intent, pixels, text
from app.laddering import inactive
from app.measure import VIRIDIS, Effect, heat_map, scale_of
from app.state import Session
from app.words import tip

MAP, TILE, PLACE = 112, 56, 112

TABS = {  # with what each shows
    "effect": ("Effect", "r-effect"),
    "bits": ("Bits", "bits"),
    "map": ("Map", "r-encoded"),
    "rate": ("Rate–distortion", "r-encoded"),
}

# Words for a share of ink moved, or of the grey scale in colour, each from its lower bound on.
REACH = (
    (0.40, "Redraws the whole picture"),
    (0.20, "Changes the main parts"),
    (0.08, "Changes strokes"),
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
        f'<div class="lev" style="{html.fill(card, level.group)}"><div><h2{tip(words.LATENTS)}>'
        f'<span class="pill">{level.index}</span>'
        f'Level {level.index}<span class="mut">{_what(level)}</span></h2>'
        f'<p class="say"{tip(words.SHARE)}>{sentence(card, level, effect)}</p><dl class="nums">'
        f"<div{tip(words.RATE)}><dt>Rate</dt><dd>{html.bits(level.kl_bits)} <small>bits</small></dd></div>"
        f"<div{tip(words.SHARE)}><dt>Share</dt><dd>{html.percent(level.kl_bits, card.bits, 1)} <small>%"
        f"</small></dd></div>"
        f"<div{tip(words.moved(card))}><dt>{moved_name(card)}</dt><dd>{moved} <small>{unit}</small></dd>"
        f"</div></dl></div>"
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


def map_pane(card: Card, maps: RateMaps) -> str:
    """Where the bits of the image go: the image, all its levels, and each resolution, on one scale."""
    whole = (
        f"<figure>{pixels(maps.image.url, card.image, PLACE, 'The image that was encoded')}"
        '<figcaption class="cap"><b>The image</b></figcaption></figure>'
        f"<figure>{pixels(maps.total.url, card.image, PLACE, 'Bits per pixel, all levels')}"
        f'<figcaption class="cap"{tip(words.OWN_RATE)}><b>All levels</b> '
        f"{maps.rate_bits:.1f} bits</figcaption></figure>"
    )
    groups = "".join(
        f"<figure>{pixels(group.map.url, card.image, TILE, f'Bits of the {html.spoken(group.name)} levels')}"
        f'<figcaption class="cap"{tip(words.OWN_RATE)}>'
        f"<b>{html.group_name(group.name)}</b>{group.bits:.1f} bits</figcaption></figure>"
        for group in maps.groups
    )
    return (
        '<div class="pane places"><p class="about"><b>Where the bits go</b><br>The image is encoded first;'
        " KL divergence "
        f'of posterior and prior.</p><div class="two">{whole}</div><div class="small">{groups}</div>'
        f"{html.colour_bar(VIRIDIS, f'{maps.scale.top:.2f} {maps.scale.unit}', words.BITS_MAP)}</div>"
    )


def rate_pane(session: Session, found: Progressive) -> str:
    """How close the image is with its first levels, and what they cost; the dot is at the selected level."""
    step = found.steps[session.view.level + 1]
    return (
        '<div class="pane closeness"><p class="about"><b>PSNR against bits</b><br>The image is encoded first;'
        " the levels below are "
        f"at their prior mean.</p>{curve.svg(found.steps, step.kept)}"
        f'<p class="mut"{tip(f"{words.OWN_RATE}. {words.PSNR}")}>'
        f"Levels 0–{session.view.level}: <b>{step.bits:.1f} of {found.rate_bits:.1f} bits</b>, "
        f"<b>{curve.decibel(step)} dB</b>.</p></div>"
    )


def foot(card: Card, groups: Mapping[str, Effect]) -> str:
    """Bits against effect, by resolution: what is dear and what matters are not the same."""
    if card.bits is None or len(groups) < len(card.groups):
        return ""
    widest = max(effect.moved for effect in groups.values()) or 1.0
    rows = "".join(
        f'<div class="sr"{tip(f"{words.SHARE}. {words.moved(card)}")}'
        f' style="{html.fill(card, group.name)}"><span><i></i>{html.group_name(group.name)}</span>'
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
    bar = html.colour_bar(VIRIDIS, f"{top:.2f}", words.DEVIATION, wide=False) if top is not None else ""
    unit = "mean change in grey levels" if card.image.channels > 1 else "% of ink moved"
    return (
        f'<div class="note"><p{tip(words.moved(card))}><b>Where each level acts</b><br>'
        f"Pixel deviation over {draws} draws; {unit}.</p>{bar}</div>"
    )


def _offer(card: Card, draws: int) -> str:
    total = len(card.levels) * draws
    return (
        f'<p class="offer"{tip(words.IMAGES)}><button type="button" class="btn line" '
        f"{intent('measure')}>Measure all {len(card.levels)} levels</button>"
        f'<span class="mut">{total:,} images of this size; may take a while.</span></p>'
    )


def _tile(card: Card, session: Session, effects: Effects, level: int) -> str:
    effect = effects[level]
    spoken = f"Level {level}, {with_unit(card, effect)} {moved_name(card).lower()}"
    return (
        f'<button type="button" class="fx" data-level="{level}" {intent("level", level=level)}'
        f'{html.state("pressed", level == session.view.level)} aria-label="{spoken}"{tip(words.moved(card))}>'
        f"{_map(card, effect, effects, TILE, '')}<span><b>{level}</b>{with_unit(card, effect)}</span></button>"
    )


def _map(card: Card, effect: Effect | None, effects: Effects, box: int, alt: str) -> str:
    if effect is None:
        return ""
    return pixels(heat_map(effect.deviation, scale_of(list(effects.values()))), card.image, box, alt)


def _bar(width: float, label: str) -> str:
    return f'<span class="hb"><i style="width:{min(width, 80):.0f}%"></i><b>{label}</b></span>'
