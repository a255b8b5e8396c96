"""The Reconstruct screen: an image from its first levels, one after the other, and what each of them costs."""

from __future__ import annotations

from collections.abc import Sequence

from app import curve as curves
from app import html, reconstructing, words
from app.client import Card, Progressive, RateMaps, Step
from app.curve import decibel, psnr
from app.html import attribute, icon, intent, pixels, text
from app.measure import VIRIDIS, decode, signed_map
from app.reconstructing import Reconstruction
from app.state import Session
from app.words import tip

BIG, BIG_NARROW, TILE, MAP = 196, 112, 56, 84
STRIP_WIDTH, STRIP_HEIGHT, STRIP_MARGIN = 312, 62, 14  # of the test images' costs

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
        f'<section class="card pad" aria-label="Image"><h2>Image <span class="mut" title="Its'
        f" number among the model's test images\">{text(now.source.name)}</span></h2>"
        f'<div class="pick" role="group" aria-label="Test images">{tiles}</div>'
        f'<label class="drop"><span class="btn line">{icon(UPLOAD)}Upload</span>'
        f'<input type="file" class="vh" id="upload" accept="{KINDS}" data-upload="1">'
        f"<span{tip(words.IMAGE_SIZE)}>or drop an image here. It is made {size}.</span></label></section>"
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


def curve(now: Reconstruction, found: Progressive, peers: Sequence[Progressive] = ()) -> str:
    """PSNR against bits with a dot at the step, and the whole cost; both beside those of the model's test images."""
    dashed = f" Dashed: mean of {len(peers)} test images." if peers else ""
    drawn = curves.svg(found.steps, now.kept, curves.mean_points([peer.steps for peer in peers]))
    return (
        '<section class="card pad" aria-label="Rate and distortion"><h2>PSNR against bits</h2>'
        f'<p class="mut"{tip(words.PSNR)}>This image, one dot a level.{dashed}</p>'
        f"{drawn}{_cost(found)}{_among(found, peers)}</section>"
    )


def strip(card: Card, now: Reconstruction, found: Progressive) -> str:
    """Every step; the one that is shown is pressed."""
    tiles = "".join(
        f'<button type="button" class="plain" {intent("kept", kept=step.kept)}'
        f"{html.state('pressed', step.kept == now.kept)}{tip(f'{words.OWN_RATE}. {words.PSNR}')}>"
        f"{pixels(step.url, card.image, TILE, f'First {step.kept} levels')}<b>{step.kept}</b>"
        f"{step.bits:.1f} bits<br>{psnr(step)}</button>"
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
        f'<figcaption class="cap"{tip(words.LEVEL)}><b>{name}</b>{note}</figcaption></figure>'
    )


def _scrubber(card: Card, found: Progressive, step: Step) -> str:
    count = len(card.levels)
    segments = "".join(
        f'<i style="{html.fill(card, level.group)}" class="{"in" if level.index < step.kept else ""}"></i>'
        for level in card.levels
    )
    spoken = f"{step.kept} of {count} levels, {step.bits:.1f} bits, {psnr(step)}"
    return (
        '<div class="scrub"><div class="lbls">'
        f'<span class="big"{tip(words.LEVEL)}>{step.kept} <small>of {count} levels</small></span>'
        f'<span class="big"{tip(words.OWN_RATE)}>{step.bits:.1f} <small>of {found.rate_bits:.1f} bits</small></span>'
        f'<span class="big"{tip(words.PSNR)}>'
        f"{decibel(step)} <small>dB PSNR</small></span>"
        f'<span class="grow"></span><button type="button" class="btn line" data-play="1">{icon(PLAY)}Play</button>'
        "</div>"
        f'<div class="trk"><div class="seglay" aria-hidden="true">{segments}</div>'
        f'<input type="range" id="scrubber" min="0" max="{count}" step="1" value="{step.kept}" data-live="1"'
        f' aria-label="Levels kept" aria-valuetext="{spoken}" title="[ and ]"></div></div>'
    )


def _maps(card: Card, maps: RateMaps) -> str:
    figures = "".join(
        f"<figure>{pixels(group.map.url, card.image, MAP, f'Bits of the {html.spoken(group.name)} levels')}"
        f'<figcaption class="cap"{tip(words.OWN_RATE)}><b>{html.group_name(group.name)}'
        f"</b>{group.bits:.1f} bits</figcaption></figure>"
        for group in maps.groups
    )
    return (
        '<div class="mhd"><h2>Where the bits go</h2>'
        f"{html.colour_bar(VIRIDIS, f'{maps.scale.top:.2f} {maps.scale.unit}', words.BITS_MAP)}</div>"
        f'<div class="maps">{figures}</div>'
    )


def _cost(found: Progressive) -> str:
    """What the image costs in all, beside the mean of the test set."""
    figure = f"{found.nats_per_image:.1f} nats, {found.bits_per_dim:.3f} bits/dim"
    name = "−ELBO" if found.estimator == "ELBO" else f"−log p, {text(found.estimator)}"
    mean = found.dataset
    compared = "The data set was not measured."
    if mean is not None:
        ratio = 100 * abs(found.bits_per_dim / mean.bits_per_dim - 1)
        compared = (
            f"{ratio:.0f} % {'cheaper' if found.bits_per_dim <= mean.bits_per_dim else 'dearer'} than the mean of "
            f"{mean.images:,} {text(mean.split)} images, {mean.bits_per_dim:.3f} ({text(mean.estimator)})."
        )
    return f'<h2 class="cost"{tip(words.COST)}>{figure}</h2><p class="mut"{tip(words.COST)}>{name}. {compared}</p>'


def _among(found: Progressive, peers: Sequence[Progressive]) -> str:
    """This image's cost among those of the model's test images: a mark each, so that few do not look like many."""
    if not peers:
        return ""
    costs = [peer.bits_per_dim for peer in peers]
    marks = [*costs, found.bits_per_dim, *([found.dataset.bits_per_dim] if found.dataset else [])]
    low, high = min(marks), max(max(marks), min(marks) + 1e-6)

    def x(cost: float) -> float:
        return STRIP_MARGIN + (STRIP_WIDTH - 2 * STRIP_MARGIN) * (cost - low) / (high - low)

    ticks = "".join(f'<path class="peer" d="M{x(cost):.1f} 22v22"/>' for cost in costs)
    if found.dataset:
        ticks += f'<path class="mean" d="M{x(found.dataset.bits_per_dim):.1f} 16v34"/>'
    cheaper = sum(found.bits_per_dim < cost for cost in costs)
    here = min(max(x(found.bits_per_dim), 48), STRIP_WIDTH - 48)
    said = f"Cheaper than {cheaper} of the model’s {len(costs)} test images."
    return (
        f'<p class="mut"{tip(words.COST)}>{said} Dashed: mean of the test set.</p>'
        f'<svg class="plot among" viewBox="0 0 {STRIP_WIDTH} {STRIP_HEIGHT}" role="img" aria-label="{said}">'
        f"<title>{words.COST}</title>"
        f'<path class="gridline" d="M0 44H{STRIP_WIDTH}"/>{ticks}'
        f'<path class="own" d="M{x(found.bits_per_dim):.1f} 16v34"/>'
        f'<text class="here" x="{here:.0f}" y="11" text-anchor="middle">this image {found.bits_per_dim:.3f}</text>'
        f'<text x="{STRIP_MARGIN}" y="58">{low:.3f}</text>'
        f'<text x="{STRIP_WIDTH / 2:.0f}" y="58" text-anchor="middle">bits/dim</text>'
        f'<text x="{STRIP_WIDTH - STRIP_MARGIN}" y="58" text-anchor="end">{high:.3f}</text></svg>'
    )
