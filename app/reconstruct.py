"""The Reconstruct screen: an image from its first levels, one after the other, and what each of them costs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from app import html, reconstructing
from app.client import Card, Progressive, RateMaps, Step
from app.html import attribute, icon, intent, pixels, text
from app.measure import VIRIDIS, decode, signed_map
from app.reconstructing import Reconstruction
from app.state import Session

BIG, BIG_NARROW, TILE, MAP = 196, 112, 56, 84
PLOT_WIDTH, PLOT_HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 312, 190, 30, 6, 8, 34

PLAY = '<path d="M5 3.5v9l7-4.5z" class="f"/>'
UPLOAD = '<path d="M8 10.5V3M4.8 6 8 2.8 11.2 6M3 13.2h10"/>'
OTHERS = {
    "mean": ("Others: mean", "leave the others at their prior mean"),
    "sample": ("Others: drawn", "draw the others from their prior"),
}
KINDS = "image/png,image/jpeg,image/webp"


def heading(session: Session) -> str:
    now = reconstructing.now(session)
    buttons = "".join(
        f'<button type="button" {intent("others", others=key)}{html.state("pressed", key == now.others)}>'
        f"{label}</button>"
        for key, (label, _) in OTHERS.items()
    )
    return (
        '<div class="ph"><div><h1>How many levels does an image need?</h1>'
        f"<p>Keep the first levels of the encoded image, {OTHERS[now.others][1]}.</p></div>"
        f'<div class="ctl"><div class="seg" role="group" aria-label="The other levels">{buttons}</div></div></div>'
    )


def picker(card: Card, now: Reconstruction, urls: Sequence[str]) -> str:
    """The bundle's test images, and a place for one of one's own."""
    tiles = "".join(
        f'<button type="button" class="plain" {intent("pick", example=example.index)}'
        f"{html.state('pressed', now.source.example == example.index)}>"
        f"{pixels(url, card.image, TILE, f'Test image {example.index}')}</button>"
        for example, url in zip(card.examples, urls, strict=False)
    )
    size = f"{card.image.height} × {card.image.width}"
    return (
        f'<section class="card pad" aria-label="Image"><h2>Image <span class="mut">{text(now.source.name)}</span></h2>'
        f'<div class="pick" role="group" aria-label="Test images">{tiles}</div>'
        f'<label class="drop"><span class="btn line">{icon(UPLOAD)}Upload</span>'
        f'<input type="file" class="vh" id="upload" accept="{KINDS}" data-upload="1">'
        f"<span>or drop an image here. It is made {size}.</span></label></section>"
    )


def view(card: Card, now: Reconstruction, found: Progressive, maps: RateMaps) -> str:
    """Original, reconstruction and difference over the scrubber, and where the bits go."""
    step = found.steps[now.kept]
    shown = _figure(card, step.url, f"First {now.kept} levels", "", f'id="kept" data-sha256="{attribute(step.sha256)}"')
    difference = signed_map(decode(step.png) - decode(found.image.png))
    return (
        '<section class="card pad" aria-label="Reconstruction"><div class="tri">'
        f"{_figure(card, found.image.url, 'Original', '', '')}{shown}"
        f"{_figure(card, difference, 'Difference', 'red extra, blue missing', '')}</div>"
        f"{_scrubber(card, found, step)}{_maps(card, maps)}</section>"
    )


def curve(now: Reconstruction, found: Progressive) -> str:
    """PSNR against bits with a dot at the step, and the whole cost beside the data set's."""
    return (
        '<section class="card pad" aria-label="Rate and distortion"><h2>PSNR against bits</h2>'
        f'<p class="mut">This image, one dot a level.</p>{_plot(found, now.kept)}{_cost(found)}</section>'
    )


def strip(card: Card, now: Reconstruction, found: Progressive) -> str:
    """Every step; the one that is shown is pressed."""
    tiles = "".join(
        f'<button type="button" class="plain" {intent("kept", kept=step.kept)}'
        f"{html.state('pressed', step.kept == now.kept)}>"
        f"{pixels(step.url, card.image, TILE, f'First {step.kept} levels')}<b>{step.kept}</b>"
        f"{step.bits:.1f} bits<br>{_psnr(step)}</button>"
        for step in found.steps
    )
    return (
        '<section class="card pad bylevel"><h2>Level by level</h2>'
        f'<div class="prog" role="group" aria-label="Level by level">{tiles}</div></section>'
    )


def _figure(card: Card, url: str, name: str, more: str, extra: str) -> str:
    note = f' <span class="mut">{more}</span>' if more else ""
    return (
        f"<figure>{pixels(url, card.image, BIG, name, narrow=BIG_NARROW, extra=extra)}"
        f'<figcaption class="cap"><b>{name}</b>{note}</figcaption></figure>'
    )


def _scrubber(card: Card, found: Progressive, step: Step) -> str:
    count = len(card.levels)
    segments = "".join(
        f'<i style="{html.fill(card, level.group)}" class="{"in" if level.index < step.kept else ""}"></i>'
        for level in card.levels
    )
    spoken = f"{step.kept} of {count} levels, {step.bits:.1f} bits, {_psnr(step)}"
    return (
        '<div class="scrub"><div class="lbls">'
        f'<span class="big">{step.kept} <small>of {count} levels</small></span>'
        f'<span class="big">{step.bits:.1f} <small>of {found.rate_bits:.1f} bits</small></span>'
        f'<span class="big" title="Peak signal to noise ratio: higher is closer to the original">'
        f"{_decibel(step)} <small>dB PSNR</small></span>"
        f'<span class="grow"></span><button type="button" class="btn line" data-play="1">{icon(PLAY)}Play</button>'
        "</div>"
        f'<div class="trk"><div class="seglay" aria-hidden="true">{segments}</div>'
        f'<input type="range" id="scrubber" min="0" max="{count}" step="1" value="{step.kept}" data-live="1"'
        f' aria-label="Levels kept" aria-valuetext="{spoken}" title="[ and ]"></div></div>'
    )


def _maps(card: Card, maps: RateMaps) -> str:
    ramp = ",".join("rgb({:.0f},{:.0f},{:.0f})".format(*colour) for colour in VIRIDIS)
    figures = "".join(
        f"<figure>{pixels(group.map.url, card.image, MAP, f'Bits of the {html.spoken(group.name)} levels')}"
        f'<figcaption class="cap"><b>{html.group_name(group.name)}</b>{group.bits:.1f} bits</figcaption></figure>'
        for group in maps.groups
    )
    return (
        '<div class="mhd"><h2>Where the bits go</h2>'
        f'<div class="cbar wide"><i style="background:linear-gradient(90deg,{ramp})"></i>'
        f"<div><span>0</span><span>{maps.scale.top:.2f} {text(maps.scale.unit)}</span></div></div></div>"
        f'<div class="maps">{figures}</div>'
    )


def _plot(found: Progressive, kept: int) -> str:
    """The curve as SVG: paths, dots and numbers on both axes."""
    points = [(step.bits, step.psnr) for step in found.steps]
    known = [psnr for _, psnr in points if psnr is not None]
    if not known:
        return ""
    low, high = np.floor(min(known) / 5) * 5, max(np.ceil(max(known) / 5) * 5, np.floor(min(known) / 5) * 5 + 5)
    step = max(5, 5 * round((high - low) / 25))
    across = _round_up(max(points[-1][0], 1.0))

    def x(bits: float) -> float:
        return LEFT + (PLOT_WIDTH - LEFT - RIGHT) * bits / across

    def y(psnr: float | None) -> float:
        share = (min(psnr, high) - low) / (high - low) if psnr is not None else 1.0  # the image itself: off the scale
        return PLOT_HEIGHT - BOTTOM - (PLOT_HEIGHT - TOP - BOTTOM) * share

    lines = "".join(
        f'<path class="gridline" d="M{LEFT} {y(at):.1f}H{PLOT_WIDTH - RIGHT}"/>'
        f'<text x="{LEFT - 6}" y="{y(at) + 4:.1f}" text-anchor="end">{at:.0f}</text>'
        for at in np.arange(low, high + 1, step)
    )
    bottom = "".join(
        f'<text x="{x(across * part):.1f}" y="{PLOT_HEIGHT - 18}" text-anchor="{anchor}">{across * part:.0f}</text>'
        for part, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end"))
    )
    path = "L".join(f"{x(bits):.1f} {y(psnr):.1f}" for bits, psnr in points)
    dots = "".join(f'<circle cx="{x(bits):.1f}" cy="{y(psnr):.1f}" r="2.5"/>' for bits, psnr in points)
    now = points[kept]
    label = f"PSNR in decibel against bits kept. {kept} levels: {now[0]:.1f} bits, {_psnr(found.steps[kept])}"
    return (
        f'<svg class="plot" viewBox="0 0 {PLOT_WIDTH} {PLOT_HEIGHT}" role="img" aria-label="{label}">{lines}{bottom}'
        f'<text x="{(LEFT + PLOT_WIDTH) / 2:.0f}" y="{PLOT_HEIGHT - 3}" text-anchor="middle">bits kept</text>'
        f'<text x="{LEFT + 4}" y="{TOP + 4}">dB</text>'
        f'<path class="line" d="M{path}"/>{dots}'
        f'<circle class="now" cx="{x(now[0]):.1f}" cy="{y(now[1]):.1f}" r="5"/></svg>'
    )


def _cost(found: Progressive) -> str:
    """What the image costs in all, beside the mean of the test set."""
    figure = f"{found.nats_per_image:.1f} nats, {found.bits_per_dim:.3f} bits/dim"
    name = "−ELBO" if found.estimator == "ELBO" else f"−log p, {text(found.estimator)}"
    mean = found.dataset
    if mean is None:
        return f'<h2 class="cost">{figure}</h2><p class="mut">{name}. The data set was not measured.</p>'
    ratio = 100 * abs(found.bits_per_dim / mean.bits_per_dim - 1)
    compared = f"{ratio:.0f} % {'cheaper' if found.bits_per_dim <= mean.bits_per_dim else 'dearer'}"
    widest = max(found.bits_per_dim, mean.bits_per_dim)
    rows = "".join(
        f'<div class="sr two"><span>{label}</span><span class="hb"><i style="width:{72 * value / widest:.0f}%"></i>'
        f"<b>{value:.3f}</b></span></div>"
        for label, value in (("this image", found.bits_per_dim), ("data set", mean.bits_per_dim))
    )
    return (
        f'<h2 class="cost">{figure}</h2><p class="mut">{name}. {compared} than the mean of {mean.images:,}'
        f" {text(mean.split)} images ({text(mean.estimator)}).</p>"
        f'<div class="split"><div class="sr two sh"><span></span><span>bits/dim</span></div>{rows}</div>'
    )


def _round_up(value: float) -> float:
    """The next of 1, 2, 4, 6, 8 or 10 times a power of ten."""
    power = 10 ** np.floor(np.log10(value))
    return float(next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= value))


def _decibel(step: Step) -> str:
    return "∞" if step.psnr is None else f"{step.psnr:.1f}"


def _psnr(step: Step) -> str:
    return f"{_decibel(step)} dB"
