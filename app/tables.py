"""The figures of the tour: rates by level, three ways to find latents, the depth study, published likelihoods."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from app import html, words
from app.client import Card
from app.figures import Depth, Fit, Inference, Published
from app.html import attribute, text
from app.words import tip


def rates(card: Card) -> str:
    """Bits by level as columns, one group a resolution."""
    widest = max((level.kl_bits or 0.0) for level in card.levels) or 1.0
    tracks = " ".join(f"minmax(66px,{len(group.levels)}fr)" for group in card.groups)
    groups = "".join(
        f'<div class="ud single" style="{html.fill(card, group.name)}"><div class="cols a" role="img"'
        f' aria-label="{html.spoken(group.name)}: {html.bits(group.kl_bits, 1)} bits in {len(group.levels)} levels">'
        + "".join(
            f'<i title="Level {index}: {html.bits(card.levels[index].kl_bits)} bits"'
            f' style="height:{100 * (card.levels[index].kl_bits or 0.0) / widest:.1f}%"></i>'
            for index in group.levels
        )
        + f'</div><div class="udl"{tip(words.BITS)}><b>{html.group_name(group.name)}</b>'
        f"<span>{html.bits(group.kl_bits, 1)} bits</span></div></div>"
        for group in card.groups
    )
    total = f"{html.bits(card.bits, 1)} bits in all, mean of the test set"
    return (
        f'<section class="card pad fig" aria-label="Rate by level"><div class="hd">'
        f"<h2{tip(words.MODEL)}>Rate by level, {text(card.id)}</h2>"
        f'<span class="mut"{tip(words.RATE)}>{total}</span></div><div class="updown" role="group" tabindex="0"'
        f' aria-label="Bits of every level" style="grid-template-columns:{tracks}">{groups}</div></section>'
    )


def inference(found: Sequence[Inference]) -> str:
    """Three models of one network, trained alike."""
    rows = [
        [
            text(one.name),
            f"{one.nats_per_image:.1f} nats",
            f"{one.bits_per_dim:.3f} bits/dim",
            ", ".join(map(str, one.active)),
        ]
        for one in found
    ]
    heads = ("Levels", "−ELBO", "Per pixel value", "Latents in use, from the top")
    note = (
        f"MNIST, {found[0].images:,} test images, one draw each. Recipes "
        f"{', '.join(text(one.recipe) for one in found)}; from benchmarks/results."
    )
    return (
        '<section class="card pad fig" aria-label="Three models"><h2>Trained alike</h2>'
        f"{_table(heads, rows)}{_note(note)}</section>"
    )


def depth(found: Depth) -> str:
    """Where models of each depth put points, and how far from the truth they are."""
    plots = [("data", found.data), *((_levels(fit), fit.points) for fit in found.fits)]
    panels = "".join(
        f'<figure><svg viewBox="0 0 {found.side:g} {found.side:g}" role="img" aria-label="Points: {name}">'
        f'<path d="{points}"/></svg><figcaption class="cap"{tip(words.DEPTH)}>{name}</figcaption></figure>'
        for name, points in plots
    )
    widest = max(fit.high for fit in (*found.fits, found.control))
    bars = "".join(_fit(fit, _levels(fit), widest) for fit in found.fits)
    control = _fit(found.control, "1 level, wide", widest)
    note = (
        f"KL in nats, mean of {found.seeds} seeds (lowest to highest) by IW-{found.k} on {found.test_points:,} points, "
        f"{found.steps:,} steps of training. “Wide” has as many parameters as 8 levels. {text(found.hardware)}, "
        f"{text(found.date)}, {text(found.command)}."
    )
    return (
        '<section class="card pad fig" aria-label="The depth study"><h2>Distance from the truth</h2>'
        f'<div class="panels">{panels}</div><div class="split">{bars}{control}</div>{_note(note)}</section>'
    )


def published(found: Sequence[Published], cards: Sequence[Card]) -> str:
    """Published likelihoods and, in bold, those of the cards, by data set: those that both have first."""
    ours = dict.fromkeys(card.dataset for card in cards if card.metrics)
    theirs = dict.fromkeys(figure.dataset for figure in found)
    names = dict.fromkeys([*(name for name in theirs if name in ours), *ours, *theirs])
    body = "".join(
        f'<tbody><tr><th scope="rowgroup" colspan="6"{tip(words.DATASET)}>{text(name)}</th></tr>{_ours(cards, name)}'
        f"{_theirs(found, name)}</tbody>"
        for name in names
    )
    heads = "".join(
        f'<th scope="col">{head}</th>' for head in ("Model", "Estimator", "Nats/image", "Bits/dim", "Images", "Source")
    )
    return (
        '<section class="card pad fig" aria-label="Likelihoods"><h2>Likelihoods, lower is better</h2>'
        '<div class="wide" role="group" tabindex="0" aria-label="Table of likelihoods">'
        f'<table class="figs nll"><thead><tr>{heads}</tr></thead>{body}</table></div></section>'
    )


def _ours(cards: Sequence[Card], dataset: str) -> str:
    rows = [
        (
            f"<b>{text(card.id)}</b>",
            text(metric.estimator),
            f"<b>{_nats(metric.nats_per_image)}</b>",
            f"<b>{metric.bits_per_dim:.3f}</b>",
            f"{metric.images:,} {text(metric.split)}",
            f'<span title="{attribute(metric.note)}" tabindex="0">this server</span>',
        )
        for card in cards
        if card.dataset == dataset
        for metric in card.metrics
    ]
    return "".join(_row(cells) for cells in rows)


def _theirs(found: Sequence[Published], dataset: str) -> str:
    rows = [
        (
            text(one.model),
            text(one.estimator),
            _nats(one.nats_per_image),
            f"{one.bits_per_dim:.3f}",
            f"{one.images:,} {text(one.split)}" if one.images else text(one.split),
            f'<span title="{attribute(" ".join(one.notes))}" tabindex="0">{text(one.source)}</span>',
        )
        for one in found
        if one.dataset == dataset
    ]
    return "".join(_row(cells) for cells in rows)


def _nats(value: float) -> str:
    return f"{value:,.1f}" if value < 1000 else f"{value:,.0f}"


def _table(heads: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    body = "".join(_row(cells) for cells in rows)
    return f'<table class="figs"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _row(cells: Sequence[str]) -> str:
    inside = "".join(f"<td>{cell}</td>" for cell in cells[1:])
    return f'<tr{tip(words.LIKELIHOOD)}><th scope="row">{cells[0]}</th>{inside}</tr>'


def _levels(fit: Fit) -> str:
    return f"{fit.levels} level{'s' if fit.levels > 1 else ''}"


def _fit(fit: Fit, name: str, widest: float) -> str:
    spread = f"{fit.low:.2f} to {fit.high:.2f}"
    return (
        f'<div class="sr two" title="{fit.parameters:,} parameters. {words.KL}" tabindex="0"><span>{name}</span>'
        '<span class="hb">'
        f'<i style="width:{70 * fit.mean / widest:.0f}%"></i><b>{fit.mean:.2f} nats</b> ({spread})</span></div>'
    )


def _note(said: str) -> str:
    return f'<p class="mut small"{tip(words.MEASURED)}>{said}</p>'
