"""The top of the page: model, facts, undo and redo, ways to take the image elsewhere, and the screens."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from app import html, words
from app.client import Card, Metric, Recipe
from app.html import attribute, icon, intent, text
from app.state import Session

LONGEST = 16_000  # a token with a large image of one's own in it makes no link that servers take

LOGO = (
    '<svg viewBox="0 0 20 20" width="20" height="20" aria-hidden="true">'
    '<rect x="7" y="1" width="6" height="3.6" rx="1" fill="var(--g0)"/>'
    '<rect x="5" y="5.8" width="10" height="3.6" rx="1" fill="var(--g1)"/>'
    '<rect x="3" y="10.6" width="14" height="3.6" rx="1" fill="var(--g2)"/>'
    '<rect x="1" y="15.4" width="18" height="3.6" rx="1" fill="var(--g3)"/></svg>'
)

KEYS = {
    "Z": "undo",
    "Shift Z": "redo",
    "N": "new seed; a new pair on Mix, another test image on Reconstruct, another image on Edit, one more on Morph",
    "R": "draw the selected level again",
    "[ and ]": "on Reconstruct: one level less or more",
    "Arrows, space": "on Edit: another cell, paint it; with Shift, paint on the way",
    "← and →": "on Learn: the step before or after",
    "1 – 9": "go to the first, second, … resolution",
    "← → ↑ ↓": "on a handle: 0.01 colder or hotter",
    "Page ↑ ↓": "on a handle: 0.10",
    "Home, End": "on a handle: 0 and 1.50",
    "Shift": "with the arrows or a drag: the whole resolution",
    "Double click": "on a handle: back to the model's own temperature",
    "?": "this list",
}


@dataclass(frozen=True)
class Place:
    """Where the page is: the models and the screens (name and title) to choose from, the server, the link."""

    models: Sequence[str]
    screens: Sequence[tuple[str, str]]
    api: str
    link: str


def header(place: Place, card: Card, session: Session, recipe: Recipe, made_by: str) -> str:
    """The header. `recipe` makes what is on the screen, with the model `made_by`; it is empty while there is none."""
    options = "".join(
        f"<option{html.flag('selected', model == card.id)} value='{attribute(model)}'>{text(model)}</option>"
        for model in place.models
    )
    history = session.history
    return (
        f'<header class="top" data-screen="{session.screen}" data-tab="{session.view.tab}"'
        f' data-link="{attribute(place.link)}">'
        f'<div class="brand">{LOGO}<b>Strata</b></div>'
        f'<label class="select"><span class="vh">Model</span><select id="model" data-choose="model">{options}</select>'
        f"{html.CHEVRON}</label>"
        f'{_facts(card)}<div class="grow"></div><div class="acts">'
        f"{_button('undo', html.UNDO, 'Undo', 'Undo (Z)', bool(history.past))}"
        f'{_button("redo", html.REDO, "Redo", "Redo (Shift Z)", bool(history.future))}<i class="sep"></i>'
        f'<button type="button" class="btn" data-copy-link="1" title="This page with everything on it">'
        f"{icon(html.LINK)}Copy link</button>"
        f'<button type="button" class="btn" data-copy="{attribute(curl(place.api, made_by, recipe))}"'
        ' title="Copy the command that makes this image">as curl</button>'
        f'<button type="button" class="btn" data-copy="{attribute(python(place.api, made_by, recipe))}"'
        ' title="Copy the lines that make this image">as Python</button><i class="sep"></i>'
        '<button type="button" class="btn icon" data-theme-switch="1" aria-label="Switch theme" title="Light or dark">'
        f"{icon(html.THEME)}</button>"
        '<button type="button" class="btn icon" data-keys="1" aria-label="Keys" title="Keys (?)">'
        '<b aria-hidden="true">?</b></button></div></header>'
        f"{_tabs(place, session)}"
    )


def bare() -> str:
    """The header while no model is known."""
    return f'<header class="top"><div class="brand">{LOGO}<b>Strata</b></div></header>'


def link(session: Session, query: Mapping[str, str], token: str) -> str:
    """The part of the address after `?`: the recipe of the screen as `r`, and what is selected."""
    parts = {"model": session.model, "screen": session.screen, "level": str(session.view.level), **query}
    if len(token) <= LONGEST:
        parts["r"] = token
    return urlencode(parts, safe=",")


def curl(api: str, model: str, recipe: Recipe) -> str:
    """A command line that saves the image (or the sheet of all images) as PNG."""
    body = json.dumps(recipe, separators=(",", ":"))
    return (
        f"curl -sS {shlex.quote(f'{api}/v1/models/{model}/sample')} -H 'Accept: image/png'"
        f" -H 'Content-Type: application/json' -d {shlex.quote(body)} -o {shlex.quote(model + '.png')}"
    )


def python(api: str, model: str, recipe: Recipe) -> str:
    """Lines that fetch the images as PNG files."""
    return (
        "import base64, pathlib\n\nimport httpx\n\n"
        f"recipe = {recipe!r}\n"
        f"answer = httpx.post({f'{api}/v1/models/{model}/sample'!r}, json=recipe).raise_for_status().json()\n"
        "for image in answer['images']:\n"
        "    pathlib.Path(f\"seed-{image['seed']}.png\").write_bytes(base64.b64decode(image['data']))\n"
    )


def keys() -> str:
    """The list of keys, a dialog that `?` opens."""
    rows = "".join(f"<div><dt><kbd>{key}</kbd></dt><dd>{what}</dd></div>" for key, what in KEYS.items())
    return (
        '<dialog id="keys" aria-labelledby="keys-title"><div class="rt"><h2 id="keys-title">Keys</h2>'
        f'<button type="button" class="mini" data-close="1" aria-label="Close">{icon(html.CLOSE)}</button></div>'
        f'<dl>{rows}</dl></dialog><p id="said" role="status" aria-live="polite"></p>'
        '<p id="lost" role="alert" hidden>The explorer does not answer. Your settings are kept; trying again.</p>'
        '<div id="tip" role="tooltip"></div>'
    )


def likelihood(card: Card) -> Metric | None:
    """The figure that the header shows: the test ELBO if there is one."""
    elbos = [metric for metric in card.metrics if metric.estimator == "ELBO"]
    return next(iter([*elbos, *card.metrics]), None)


def _facts(card: Card) -> str:
    facts = [
        ("Levels", str(len(card.levels)), words.LEVEL),
        ("Image", f"{card.image.height} × {card.image.width}", words.IMAGE_SIZE),
    ]
    if metric := likelihood(card):
        label = "−ELBO" if metric.estimator == "ELBO" else f"−log p, {metric.estimator}"
        figure = f"{metric.nats_per_image:.1f} nats/image, {metric.bits_per_dim:.3f} bits/dim"
        about = f"{metric.estimator}, mean over {metric.images:,} {metric.split} images. {metric.note}".strip()
        facts.append((f"{metric.split.capitalize()} {label}", figure, about))
    items = "".join(
        f'<div title="{attribute(about)}"><dt>{text(label)}</dt><dd>{text(value)}</dd></div>'
        for label, value, about in facts
    )
    return f'<dl class="facts">{items}</dl>'


def _button(do: str, path: str, label: str, title: str, enabled: bool) -> str:
    return (
        f'<button type="button" class="btn icon" {intent(do)} aria-label="{label}" title="{title}"'
        f"{html.flag('disabled', not enabled)}>{icon(path)}</button>"
    )


def _tabs(place: Place, session: Session) -> str:
    tabs = "".join(
        f'<button type="button" role="tab" id="tab-{key}" class="tab" {intent("screen", name=key)}'
        f' aria-controls="{key}"{html.state("selected", key == session.screen)}'
        f' tabindex="{0 if key == session.screen else -1}">{label}</button>'
        for key, label in place.screens
    )
    return f'<nav class="tabs" role="tablist" aria-label="Screens">{tabs}</nav>'
