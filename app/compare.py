"""The Compare screen: two models on one seed or image, one rail for both, their images and the difference."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Sequence
from urllib.parse import urlencode

from app import comparing, header, html, rail, words
from app.client import Answer, Card, Group, SampleImage
from app.comparing import Comparison, Resolution
from app.costs import Side
from app.html import attribute, icon, intent, pixels, text
from app.measure import decode, mean_change, psnr, signed_map
from app.recipes import MAX_SEED
from app.reconstruct import KINDS, UPLOAD
from app.words import tip

BIG, BIG_OF_FOUR, BIG_NARROW, TILE = 224, 196, 140, 56
PICKED = 5  # test images to choose from


def heading(a: Card, b: Card | None, ids: Sequence[str]) -> str:
    """The question and the two models that it is about; `ids` are all to choose from."""
    others = [other for other in ids if other != a.id]
    return (
        '<div class="ph"><div><h1>How do two models differ?</h1>'
        "<p>Both get the same seed or image, and one temperature at each resolution.</p></div>"
        f'<div class="ctl">{_chooser("A", "model", a.id, ids)}'
        f"{_chooser('B', 'compare-with', b.id, others) if b else ''}</div></div>"
    )


def alone() -> str:
    """Where there is nothing to compare with."""
    return (
        '<section class="card pad"><h2>There is one model on this server</h2><p class="mut">Comparing needs two. Put a '
        "second bundle into the server’s zoo; it appears here after a reload of the page.</p></section>"
    )


def source(a: Card, b: Card, now: Comparison, urls: Sequence[str]) -> str:
    """The seed, and the images that both can be asked of instead."""
    chosen = comparing.picture(now, a, b)
    asked = "the seed" if chosen is None else text(chosen.name)
    offer = _offer(a, chosen.example if chosen else None, urls)
    if not comparing.comparable(a, b):
        offer = f'<p class="mut"{tip(words.IMAGE_SIZE)}>{_sizes(a, b)} No image fits both, so they share a seed.</p>'
    return (
        f'<section class="card pad" aria-label="Seed and image"><div class="hd">'
        f"<h2{tip(words.ASKED)}>Both get {asked}</h2>"
        f'<button type="button" class="btn small" {intent("compare_image")}{html.flag("disabled", chosen is None)}>'
        "Seed only</button></div>"
        '<div class="asked"><span class="field"><label for="seed-compare">Seed</label>'
        f'<input id="seed-compare" type="text"{tip(words.SEED)} value="{now.seed}" inputmode="numeric"'
        f' autocomplete="off" data-number="seed-compare" data-min="0" data-max="{MAX_SEED}">'
        f'<button type="button" class="mini" {intent("new_seed")} aria-label="New seed" title="New seed (N)">'
        f"{icon(html.DICE)}</button></span>{offer}</div></section>"
    )


def temperatures(a: Card, b: Card, now: Comparison) -> str:
    """One handle a resolution for both models, over the bits that each has there."""
    shown = comparing.resolutions(a, b)
    pictured = comparing.picture(now, a, b) is not None
    values = [comparing.temperature(now, one.name) for one in shown]
    kept = [index for index, one in enumerate(shown) if pictured and one.name not in now.drawn]
    widest = max(group.kl_bits or 0.0 for group in (*a.groups, *b.groups)) or 1.0
    rows = "".join(
        f'<div class="lrow" style="{html.shade(index, len(shown))}">'
        f"{_row(one, index, values[index], widest, index in kept)}"
        f"{_switch(one, index in kept) if pictured else ''}</div>"
        for index, one in enumerate(shown)
    )
    note = "Dashed line: T = 1."
    if pictured:
        note = "A locked resolution is the image’s; open the lock to draw it at T."
    return (
        '<section class="card rail both" aria-label="Temperature by resolution, for both models">'
        '<div class="rt"><h2>Temperature by resolution</h2><span class="mut">for both</span></div>'
        f"{rail.axis('A bits', 'B bits', *([''] if pictured else []))}"
        f'<div class="rows" data-live="1" data-rail="{json.dumps(values)}" data-locks="{json.dumps(kept)}"'
        f' data-groups="{json.dumps([[index] for index in range(len(shown))])}" data-default="1"'
        f' data-do="compare_temperature" data-names="{attribute(json.dumps([one.name for one in shown]))}">{rows}</div>'
        f'<p class="rfoot"{tip(words.TEMPERATURE)}>Upper bar: A, lower bar: B. {note}</p></section>'
    )


def images(a: Side, b: Side, original: str | None, api: str) -> str:
    """Both images, enlarged alike, and their difference; `original` is the image that both were asked of, a PNG in
    base64."""
    box = BIG_OF_FOUR if original else BIG
    figures = [_original(a.card, original)] if original else []
    figures += [_side(side, box, original, api) for side in (a, b)]
    figures += [_difference(a, b, box) if comparing.comparable(a.card, b.card) else _no_difference(a.card, b.card)]
    return f'<section class="card pad" aria-label="Images"><div class="duo">{"".join(figures)}</div></section>'


def seeds(a: Card, b: Card, now: Comparison, rows: Sequence[Answer]) -> str:
    """The same for the next seeds; a click takes one."""
    lines = "".join(
        f"<b>{letter}</b>{''.join(_seed(card, letter, image, now.seed) for image in answer.images)}"
        for letter, card, answer in zip("AB", (a, b), rows, strict=True)
    )
    return (
        '<section class="card pad" aria-label="The next seeds"><h2>The next seeds</h2>'
        f'<div class="seedrows">{lines}</div></section>'
    )


def no_seeds() -> str:
    """Where a seed changes nothing."""
    return (
        '<section class="card pad"><h2>Other seeds</h2><p class="mut">All levels are the image’s, so a seed changes '
        "nothing. Draw a resolution (the lock on its row) to see what seeds make of it.</p></section>"
    )


def _chooser(letter: str, what: str, chosen: str, ids: Sequence[str]) -> str:
    options = "".join(
        f"<option{html.flag('selected', id == chosen)} value='{attribute(id)}'>{text(id)}</option>" for id in ids
    )
    return (
        f'<div><label class="lab1" for="model-{letter.lower()}">Model {letter}</label><span class="select">'
        f'<select id="model-{letter.lower()}" data-choose="{what}">{options}</select>{html.CHEVRON}</span></div>'
    )


def _sizes(a: Card, b: Card) -> str:
    sizes = (f"{card.image.height} × {card.image.width} × {card.image.channels}" for card in (a, b))
    return "A makes images of {}, B of {}.".format(*sizes)


def _offer(a: Card, chosen: int | None, urls: Sequence[str]) -> str:
    tiles = "".join(
        f'<button type="button" class="plain" {intent("compare_image", example=example.index)}'
        f"{html.state('pressed', chosen == example.index)}>"
        f"{pixels(url, a.image, TILE, f'Test image {example.index}')}</button>"
        for example, url in zip(a.examples, urls, strict=False)
    )
    return (
        f'<label class="drop"><span class="btn line">{icon(UPLOAD)}Upload</span>'
        f'<input type="file" class="vh" id="compare-upload" accept="{KINDS}" data-upload="compare">'
        "<span>or drop one here</span></label>"
        f'<div class="pick" role="group" aria-label="Test images">{tiles}</div>'
    )


def _row(one: Resolution, index: int, value: float, widest: float, locked: bool) -> str:
    name = html.group_name(one.name)
    bars = "".join(
        f'<i class="bar {place}" style="width:{max(0.8, 98 * (group.kl_bits or 0.0) / widest):.1f}%"></i>'
        for place, group in (("up", one.a), ("low", one.b))
        if group
    )
    label = f"{html.spoken(one.name)}, temperature of {one.only or 'both'}"
    only = f'<small title="The other model has no level of {name}">only {one.only}</small>' if one.only else ""
    return (
        f'<span class="no"{tip(words.RESOLUTION)}><b>{name}</b>{only}</span>'
        f"{rail.track(value, bars, label, [index], locked)}"
        f'<output class="t"{tip(words.TEMPERATURE)}>{value:.2f}</output>{_bits(one.a)}{_bits(one.b)}'
    )


def _bits(group: Group | None) -> str:
    if group is None:
        return '<span class="b">–</span>'
    count = f"{len(group.levels)} level{'s' if len(group.levels) > 1 else ''}"
    return f'<span class="b"{tip(f"{count}. {words.RATE}")}>{html.bits(group.kl_bits, 1)}</span>'


def _switch(one: Resolution, kept: bool) -> str:
    word = "Kept from the image. Draw it" if kept else "Drawn. Keep the image’s"
    return (
        f'<button type="button" class="mini{"" if kept else " on"}" {intent("compare_draw", group=one.name)}'
        f' aria-label="Draw {html.spoken(one.name)}"{html.state("pressed", not kept)} title="{word}">'
        f"{icon(html.LOCKED if kept else html.DICE)}</button>"
    )


def _original(card: Card, data: str) -> str:
    return _figure(card, BIG_OF_FOUR, html.PNG + data, "The image", "what both are asked of", "", 'id="original"')


def _side(side: Side, box: int, original: str | None, api: str) -> str:
    card, recipe, letter = side.card, side.answer.recipe, side.letter
    copies = "".join(
        f'<button type="button" class="btn small" data-copy="{attribute(made(api, card.id, recipe))}"'
        f' title="Copy what makes image {letter}">as {name}</button>'
        for name, made in (("curl", header.curl), ("Python", header.python))
    )
    address = urlencode({"model": card.id, "screen": "explore", "r": side.answer.token})
    opened = f'<a class="btn small" href="?{attribute(address)}" title="Image {letter} in Explore">Explore</a>'
    extra = f'id="side-{letter.lower()}" data-sha256="{attribute(side.image.sha256)}"'
    facts = _closeness(side.image, original) if original else f"<span{tip(words.SEED)}>seed {side.image.seed}</span>"
    return _figure(card, box, side.image.url, f"{letter}: {card.id}", facts, f"{copies}{opened}", extra)


def _closeness(image: SampleImage, original: str) -> str:
    near = psnr(decode(image.png), decode(b64decode(original)))
    said = "the image itself" if near is None else f"{near:.1f} dB PSNR"
    return f'<span{tip(words.PSNR)} tabindex="0">{said}</span>'


def _difference(a: Side, b: Side, box: int) -> str:
    one, other = decode(a.image.png), decode(b.image.png)
    amount = f"{mean_change(one, other):.1f} grey levels on average"
    facts = f'<span{tip(words.DIFFERENCE)} tabindex="0">{amount}</span>'
    colours = '<span class="mut">Red: B brighter. Blue: A brighter.</span>'
    return _figure(a.card, box, signed_map(other - one), "Difference, B − A", facts, colours, 'id="difference"')


def _no_difference(a: Card, b: Card) -> str:
    said = f"<b>No difference image.</b> {_sizes(a, b)}"
    return f'<figure class="none"><p class="mut"{tip(words.IMAGE_SIZE)}>{said}</p></figure>'


def _figure(card: Card, box: int, url: str, name: str, facts: str, below: str, extra: str) -> str:
    return (
        f"<figure>{pixels(url, card.image, box, name, narrow=BIG_NARROW, extra=extra)}"
        f'<figcaption class="cap"><b{tip(name)}>{text(name)}</b>{facts}'
        f'<div class="ways">{below}</div></figcaption></figure>'
    )


def _seed(card: Card, letter: str, image: SampleImage, now: int) -> str:
    shown = pixels(
        image.url, card.image, TILE, f"{letter}, seed {image.seed}", extra=f'data-sha256="{attribute(image.sha256)}"'
    )
    return (
        f'<button type="button" class="plain" {intent("compare_seed", seed=image.seed)}'
        f'{html.state("pressed", image.seed == now)} title="Seed {image.seed}">{shown}</button>'
    )
