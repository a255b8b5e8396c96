"""The Mix screen: two images, the levels taken from the second, both ways to take them, and a matrix of cuts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app import html, level_strip, mixing, source_fields, words
from app.client import Card, SampleImage
from app.html import attribute, icon, intent, pixels, text
from app.mixing import Mix, Source, Space, name
from app.state import Session
from app.temperature import in_words
from app.words import tip

SOURCE, RESULT, RESULT_NARROW, TILE = 112, 196, 140, 56

SPACES: dict[Space, tuple[str, str]] = {
    "noise": ("Noise space", "Levels below adapt to B’s levels."),
    "latent": ("Latent space", "A’s latents stay as they were."),
}
NO_NOISE = (
    "No noise space for a test image: the latents of this model are 0 or 1, and many values of the noise give the same "
    "one. Seeds have both spaces."
)
QUICK = {"none": "None", "coarse": "Coarse", "middle": "Middle", "fine": "Fine", "all": "All"}


@dataclass(frozen=True)
class Row:
    """One row of the matrix: an image B, alone and for every cut, and the first cut whose image is closer to B."""

    source: Source
    alone: SampleImage
    cells: tuple[SampleImage, ...]
    flip: int | None


def heading(card: Card, session: Session) -> str:
    offered = mixing.spaces(card, mixing.now(session))
    pressed = mixing.wanted_spaces(session) if len(offered) > 1 else offered[0]
    spaces = "".join(
        f'<button type="button" {intent("mix_spaces", spaces=key)}{html.state("pressed", key == pressed)}'
        f"{html.flag('disabled', len(offered) == 1 and key != pressed)}>{label}</button>"
        for key, label in (("latent", "Latents"), ("noise", "Noise"), ("both", "Both"))
    )
    return (
        '<div class="ph"><div><h1>Which levels carry what?</h1><p>Take some levels of image B, the rest of image A.</p>'
        f'</div><div class="ctl"><div class="seg" role="group" aria-label="What is exchanged">{spaces}</div>'
        f'<button type="button" class="btn line" {intent("new_seed")} title="New pair (N)">{icon(html.DICE)}'
        "New pair</button></div></div>"
    )


def sources(card: Card, mix: Mix, a: SampleImage | None, b: SampleImage | None) -> str:
    figures = "".join(
        _source(card, which, source, image) for which, source, image in (("a", mix.a, a), ("b", mix.b, b))
    )
    return (
        '<section class="card pad" aria-label="Sources"><div class="hd"><h2>Sources</h2>'
        f'<button type="button" class="btn small" {intent("mix_swap")}>{icon(html.SWAP)}Swap A and B</button></div>'
        f'<div class="two-img">{figures}</div></section>'
    )


def levels(card: Card, mix: Mix) -> str:
    """One switch a level, under its bits, and the usual choices."""
    quick = "".join(
        f'<button type="button" {intent("mix_quick", name=key)}'
        f"{html.state('pressed', mixing.QUICK[key](card) == mix.levels)}>{label}</button>"
        for key, label in QUICK.items()
    )
    return (
        '<section class="card pad" aria-label="Levels taken from B"><div class="hd"><h2>Levels taken from B</h2>'
        f'<span class="mut"{tip(words.RATE)}>{_carried(card, mix)}</span></div><div class="row2">'
        f'<div class="seg" role="group" aria-label="Quick choices">{quick}</div>'
        f'<p class="mut"{tip(words.TEMPERATURE)}><span class="idle">T {in_words(mix.temperature)}, mean images</span>'
        '<span class="wait">Computing the mixes</span></p></div>'
        f"{level_strip.strip(card, lambda level: _switch(card, mix, level))}</section>"
    )


def results(card: Card, session: Session, images: Mapping[Space, SampleImage]) -> str:
    figures = "".join(
        f'<figure>{_result(card, space, image)}<figcaption class="cap row2"><span><b>{SPACES[space][0]}</b>'
        f'{SPACES[space][1]}</span><button type="button" class="mini" {intent("mix_explore", space=space)}'
        f' aria-label="Explore the mix in {space} space" title="Open in Explore">{icon(html.FORTH)}</button>'
        "</figcaption></figure>"
        for space, image in images.items()
    )
    reason = (
        ""
        if "noise" in mixing.spaces(card, mixing.now(session))
        else f'<p class="mut"{tip(words.LEVEL)}>{NO_NOISE}</p>'
    )
    return f'<section class="card pad" aria-label="Result"><div class="res">{figures}{reason}</div></section>'


def matrix(card: Card, session: Session, rows: Sequence[Row]) -> str:
    """A gives the fine levels, B the coarse ones: one column a cut, one row an image B."""
    cuts = mixing.cuts(card)
    mix = mixing.now(session)
    heads = "".join(
        f'<span class="h"{tip(f"{words.LEVEL}. {words.RATE}")}>{_cut(cut, card)}'
        f"<small>{_bits_above(card, cut)}</small></span>"
        for cut in cuts
    )
    lines = "".join(_row(card, mix, row, index, cuts) for index, row in enumerate(rows))
    return (
        '<section class="card pad matrix"><div class="hd"><h2>Style mixing: A gives the fine levels, B the coarse '
        f'ones</h2><span class="mut">{SPACES[mixing.spaces(card, mix)[0]][0]}. <span class="ring"></span>'
        "first image closer to B than to A</span>"
        f'</div><div class="mx" style="grid-template-columns:134px repeat({len(cuts)},minmax(62px,1fr))">'
        f'<span class="rl">Levels from B</span>{heads}{lines}</div></section>'
    )


def _source(card: Card, which: str, source: Source, image: SampleImage | None) -> str:
    letter = which.upper()
    shown = pixels(image.url, card.image, SOURCE, f"{letter}: {name(source)}") if image else '<div class="px"></div>'
    return (
        f'<figure>{shown}<figcaption class="cap"{tip(words.SEED)}><b>{letter}: {text(name(source))}</b></figcaption>'
        f"{source_fields.fields(card, which, {'do': 'mix_source', 'which': which}, source, f'Image {letter}')}</figure>"
    )


def _switch(card: Card, mix: Mix, level: int) -> str:
    taken = level in mix.levels
    letter = "B" if taken else "A"
    label = card.levels[level].label
    named = tip(label or words.LEVEL)
    return (
        f'<button type="button" class="ab" {intent("mix_level", level=level)}{html.state("pressed", taken)}'
        f' aria-label="Level {level} from {letter}"{named}>{letter}</button><span{tip(words.LEVEL)}>{level}</span>'
    )


def _result(card: Card, space: Space, image: SampleImage) -> str:
    extra = f'id="mix-{space}" data-sha256="{attribute(image.sha256)}"'
    return pixels(image.url, card.image, RESULT, f"Mix in {space} space", narrow=RESULT_NARROW, extra=extra)


def _carried(card: Card, mix: Mix) -> str:
    if not mix.levels:
        return "none"
    if card.bits is None:
        return html.span(mix.levels)
    carried = sum(card.levels[level].kl_bits or 0.0 for level in mix.levels)
    return f"{html.span(mix.levels)}: <b>{carried:.1f}</b> of {card.bits:.1f} bits"


def _cut(cut: int, card: Card) -> str:
    if cut == 0:
        return "none"
    return "all" if cut == len(card.levels) else html.span(range(cut))


def _bits_above(card: Card, cut: int) -> str:
    if card.bits is None:
        return ""
    return f"{sum(level.kl_bits or 0.0 for level in card.levels[:cut]):.1f} bits"


def _row(card: Card, mix: Mix, row: Row, index: int, cuts: Sequence[int]) -> str:
    cells = "".join(
        f'<button type="button" class="plain{" flip" if at == row.flip else ""}"'
        f' {intent("mix_cut", cut=cut, row=index)} title="Use this cut">'
        f"{pixels(image.url, card.image, TILE, _cell_alt(mix, row, cut))}</button>"
        for at, (cut, image) in enumerate(zip(cuts, row.cells, strict=True))
    )
    shown = pixels(row.alone.url, card.image, TILE, f"B: {name(row.source)}")
    return f'<span class="rl b"{tip(words.SEED)}>{shown}<span><b>B</b>{text(name(row.source))}</span></span>{cells}'


def _cell_alt(mix: Mix, row: Row, cut: int) -> str:
    return f"{name(mix.a)} with the first {cut} levels from {name(row.source)}"
