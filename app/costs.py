"""What two models' levels cost, column against column, and the figures of both cards: the lower half of Compare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from app import comparing, html, words
from app.client import Answer, Card, Group, Metric, RateMaps, SampleImage
from app.comparing import Resolution
from app.html import attribute, text
from app.laddering import inactive
from app.words import tip

LISTED = 16  # levels whose bits are read out one by one


Figure = tuple[str, str, str, str]  # name, explanation, of A, of B


@dataclass(frozen=True)
class Side:
    """One of the two: its model, what it made, and with an image what that costs."""

    letter: str
    card: Card
    answer: Answer
    maps: RateMaps | None = None

    @property
    def image(self) -> SampleImage:
        return self.answer.images[0]

    @property
    def rates(self) -> list[float | None]:
        """Bits by level: of the image that both are asked of, or else the mean of the test set."""
        if self.maps:
            return [level.bits for level in self.maps.levels]
        return [level.kl_bits for level in self.card.levels]

    def bits(self, levels: tuple[int, ...]) -> str:
        """Of these levels together."""
        rates = [self.rates[level] for level in levels]
        return "–" if None in rates else f"{sum(rate or 0.0 for rate in rates):.1f}"


def rates(a: Side, b: Side) -> str:
    """Every level's bits, resolution by resolution: A's columns stand on the names, B's hang from them."""
    shown = comparing.resolutions(a.card, b.card)
    widest = max(rate or 0.0 for rate in (*a.rates, *b.rates)) or 1.0
    widths = [max(len(group.levels) for group in (one.a, one.b) if group) for one in shown]
    tracks = " ".join(f"minmax(66px,{width}fr)" for width in widths)
    inside = "".join(
        f'<div class="ud" style="{html.shade(index, len(shown))}">{_columns(a, one.a, widest)}{_between(a, b, one)}'
        f"{_columns(b, one.b, widest)}</div>"
        for index, one in enumerate(shown)
    )
    sides = "".join(
        f'<span class="total"{tip(words.RATE)}>{side.letter}'
        f"<b>{side.bits(tuple(range(len(side.card.levels))))}</b>bits</span>"
        for side in (a, b)
    )
    return (
        '<section class="card pad rates" aria-label="Rate by level"><div class="hd"><h2>Rate by level</h2>'
        f'<span class="mut" title="{words.RATE}" tabindex="0">bits, {_of(a)}</span></div>'
        f'<div class="updown" role="group" tabindex="0" aria-label="Bits of every level"'
        f' style="grid-template-columns:46px {tracks}"><div class="totals">{sides}</div>'
        f"{inside}</div></section>"
    )


def figures(a: Side, b: Side) -> str:
    """What both cards say, side by side, each likelihood with its estimator."""
    rows = [
        _row(a, b, "Data set", "What the model was trained on", lambda side: text(side.card.dataset or "–")),
        _row(a, b, "Image", "Height × width × colours", lambda side: _size(side.card)),
        _row(a, b, "Levels", "From the coarsest to the finest; inactive ones carry next to nothing", _levels),
        _row(a, b, "Latents", "Numbers that an image is made from", lambda side: f"{side.card.latents:,}"),
    ]
    for name in dict.fromkeys(metric.estimator for side in (a, b) for metric in side.card.metrics):
        rows.append(_row(a, b, _named(name), words.COST, partial(_likelihood, name)))
    if a.maps:
        rows.append(_row(a, b, f"This image, {_named(a.maps.estimator)}", words.COST, _cost))
    body = "".join(
        f'<tr{tip(about)}><th scope="row" tabindex="0">{name}</th><td>{of_a}</td><td>{of_b}</td></tr>'
        for name, about, of_a, of_b in rows
    )
    heads = "".join(f'<th scope="col"{tip(words.MODEL)}>{side.letter}: {text(side.card.id)}</th>' for side in (a, b))
    return (
        '<section class="card pad" aria-label="Figures"><h2>Figures</h2>'
        f'<table class="figs"><thead><tr><td></td>{heads}</tr></thead><tbody>{body}</tbody></table></section>'
    )


def _of(a: Side) -> str:
    if a.maps:
        return "of this image"
    return "mean of the test set"


def _between(a: Side, b: Side, one: Resolution) -> str:
    """The name of a resolution, between what it costs both."""
    only = f"only {one.only}"
    of_a, of_b = (side.bits(group.levels) if group else only for side, group in ((a, one.a), (b, one.b)))
    inside = f"<span>{of_a}</span><b>{html.group_name(one.name)}</b><span>{of_b}</span>"
    return f'<div class="udl"{tip(words.BITS)}>{inside}</div>'


def _columns(side: Side, group: Group | None, widest: float) -> str:
    levels = group.levels if group else ()
    bits = {level: html.bits(side.rates[level]) for level in levels}
    columns = "".join(
        f'<i title="{side.letter}, level {level}: {bits[level]} bits"'
        f' style="height:{100 * (side.rates[level] or 0.0) / widest:.1f}%"></i>'
        for level in levels
    )
    spoken = (
        f"{side.letter}, {html.spoken(group.name)}: {side.bits(levels)} bits" if group else f"{side.letter}: no level"
    )
    if 1 < len(levels) <= LISTED:
        spoken += "; " + ", ".join(f"level {level} {bits[level]}" for level in levels)
    return f'<div class="cols {side.letter.lower()}" role="img" aria-label="{spoken}">{columns}</div>'


def _row(a: Side, b: Side, name: str, about: str, of: Callable[[Side], str]) -> Figure:
    return name, about, of(a), of(b)


def _size(card: Card) -> str:
    colours = "grey" if card.image.channels == 1 else f"{card.image.channels} colours"
    return f"{card.image.height} × {card.image.width}, {colours}"


def _levels(side: Side) -> str:
    idle = sum(inactive(level) for level in side.card.levels)
    return f"{len(side.card.levels)}" + (f"<small>{idle} inactive</small>" if idle else "")


def _named(estimator: str) -> str:
    return "−ELBO" if estimator == "ELBO" else f"−log p, {text(estimator)}"


def _likelihood(estimator: str, side: Side) -> str:
    found: Metric | None = next((metric for metric in side.card.metrics if metric.estimator == estimator), None)
    if found is None:
        return "–"
    about = f"Mean of {found.images:,} {found.split} images. {found.note}"
    return f'<span title="{attribute(about)}" tabindex="0">{_priced(found.nats_per_image, found.bits_per_dim)}</span>'


def _cost(side: Side) -> str:
    return _priced(side.maps.nats_per_image, side.maps.bits_per_dim) if side.maps else "–"


def _priced(nats: float, bits_per_dim: float) -> str:
    return f"{nats:,.1f} nats<small>{bits_per_dim:.3f} bits/dim</small>"
