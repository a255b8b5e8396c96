"""The Learn screen: a step of the tour in words, its images with one handle, and its figure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from app import html, tables, words
from app.client import Answer, Card, RateMaps
from app.figures import Figures
from app.html import attribute, icon, intent, pixels, text
from app.touring import Control, Row, Step
from app.words import tip

FEW, MANY = 4, 6  # images beside each other
SIZES = ((FEW, 168), (MANY, 112))  # the most images, and how large they are
SMALL, NARROW = 84, 84
SCREENS = {
    "explore": "Explore",
    "levels": "Levels",
    "mix": "Mix",
    "reconstruct": "Reconstruct",
    "compare": "Compare",
}


@dataclass(frozen=True)
class Picture:
    """One image with what it is; `sha256` of the server's bytes, unless it is a test image."""

    url: str
    caption: str
    sha256: str = ""


def heading(steps: Sequence[Step], at: int) -> str:
    """Where a person is, the way on and back, and all steps."""
    last = at == len(steps) - 1
    marks = "".join(
        f'<li><button type="button" {intent("tour_step", step=index)} title="{attribute(step.title)}"'
        f' aria-label="Step {index + 1}: {attribute(step.title)}"{html.flag("aria-current=step", index == at)}'
        f' class="{"seen" if index < at else ""}">{index + 1}</button></li>'
        for index, step in enumerate(steps)
    )
    onward = "Start again" if last else "Next"
    return (
        f'<div class="ph"><div><p class="mut" role="status"{tip(words.STEP)}>Step {at + 1} of {len(steps)}'
        f'<span class="vh">: {text(steps[at].title)}</span></p>'
        f'<h1{tip(words.STEP)}>{text(steps[at].title)}</h1></div><div class="ctl">'
        f'<button type="button" class="btn line" id="tour-back" {intent("tour_step", step=max(at - 1, 0))}'
        f'{html.flag("disabled", at == 0)} title="The step before (←)">{icon(html.BACK)}Back</button>'
        f'<button type="button" class="btn main" id="tour-next" {intent("tour_step", step=0 if last else at + 1)}'
        f' title="The step after (→)">{onward}{icon(html.FORTH)}</button></div></div>'
        f'<nav aria-label="Steps of the tour"><ol class="marks">{marks}</ol></nav>'
    )


def prose(step: Step) -> str:
    """The text; a word between stars is explained there."""
    paragraphs = "".join(f"<p>{_words(paragraph)}</p>" for paragraph in step.text.strip().split("\n\n"))
    return f'<section class="card pad prose" aria-label="{attribute(step.title)}">{paragraphs}</section>'


def missing(step: Step) -> str:
    """Where the server has none of the step's models."""
    names = " or ".join(text(name) for name in step.models)
    return (
        f'<section class="card pad live"><h2>Not on this server</h2><p class="mut"{tip(words.MODEL)}>'
        f"The images of this step need the model {names}, which this server has not got. The text stands without them; "
        "go on with Next.</p></section>"
    )


def pictures(rows: Sequence[Row], answers: Sequence[Answer], test_image: str | None) -> list[Picture]:
    """What is shown from left to right: the test image first, and what the step is about between A and B."""
    made = [
        [Picture(image.url, row.of(image.index, image.seed), image.sha256) for image in answer.images]
        for row, answer in zip(rows, answers, strict=True)
    ]
    if len(made) == 3:
        made = [made[1], made[0], made[2]]
    first = [Picture(test_image, "test image")] if test_image else []
    return first + [picture for row in made for picture in row]


def live(
    step: Step, card: Card, control: Control, shown: Sequence[Picture], maps: RateMaps | None, opened: dict[str, str]
) -> str:
    """The images, the handle that changes them, what it does in words, and the way to the screen with more."""
    box = next((size for most, size in SIZES if len(shown) <= most), SMALL)
    figures = "".join(_figure(card, picture, box) for picture in shown)
    return (
        f'<section class="card pad live" data-live="1" aria-label="Try it"><div class="hd"><h2>Try it</h2>'
        f'<span class="mut"{tip(words.MODEL)}>model {text(card.id)}</span></div><div class="shots">{figures}</div>'
        f'{_cost(maps) if maps else ""}<p class="said" role="status"{tip(words.SAID)}>'
        f'<span class="idle">{control.said}</span>'
        f'<span class="wait">Computing the images</span></p>{_handle(control)}'
        f'<div class="row2"><p{tip(words.TRY)}>{text(step.try_)}</p><a class="btn line" id="tour-open"'
        f' href="?{attribute(urlencode(opened, safe=","))}">Open in {SCREENS[step.opens]}{icon(html.FORTH)}</a></div>'
        "</section>"
    )


def figure(step: Step, card: Card | None, known: Figures, cards: Sequence[Card]) -> str:
    """What stands under the images, if anything."""
    match step.figure:
        case "rates" if card is not None:
            return tables.rates(card)
        case "inference":
            return tables.inference(known.inference)
        case "depth":
            return tables.depth(known.depth)
        case "published":
            return tables.published(known.published, cards)
        case _:
            return ""


def _words(paragraph: str) -> str:
    return re.sub(r"\*([^*]+)\*", r"<dfn>\1</dfn>", text(paragraph))


def _figure(card: Card, picture: Picture, box: int) -> str:
    extra = f'data-sha256="{picture.sha256}"' if picture.sha256 else ""
    shown = pixels(picture.url, card.image, box, picture.caption, narrow=NARROW, extra=extra)
    return f'<figure>{shown}<figcaption class="cap"{tip(words.SEED)}>{text(picture.caption)}</figcaption></figure>'


def _handle(control: Control) -> str:
    value = f"{control.value:.2f}" if control.by < 1 else f"{control.value:.0f}"
    return (
        f'<div class="turn"{tip(control.label)}><label for="tour-value">{control.label}</label>'
        f'<input type="range" id="tour-value" min="0" max="{control.high:g}" step="{control.by:g}"'
        f' value="{control.value:g}" aria-valuetext="{attribute(control.said)}">'
        f'<output for="tour-value">{value}</output></div>'
    )


def _cost(maps: RateMaps) -> str:
    facts = (
        ("Rate", f"{maps.rate_bits:.1f}", "bits", "What the latents say of this image beyond the prior"),
        ("Distortion", f"{maps.distortion_bits:.1f}", "bits", "What the latents leave open, pixel by pixel"),
        ("Together", f"{maps.rate_bits + maps.distortion_bits:.1f}", "bits", "The negative ELBO; lower is better"),
        ("In nats", f"{maps.nats_per_image:.1f}", "nats", "The same; one nat is 1.44 bits"),
        ("Per pixel value", f"{maps.bits_per_dim:.3f}", "bits/dim", "Together, divided by the number of pixel values"),
    )
    items = "".join(
        f'<div title="{about}" tabindex="0"><dt>{name}</dt><dd>{value} <small>{unit}</small></dd></div>'
        for name, value, unit, about in facts
    )
    return f'<dl class="nums five">{items}</dl>'
