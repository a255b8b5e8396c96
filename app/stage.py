"""The middle of the Explore screen: seed and images, the image itself, what it took, and the two strips."""

from __future__ import annotations

from collections.abc import Sequence

from app import html, recipes, words
from app.client import Answer, ApiError, Card, SampleImage
from app.html import attribute, icon, intent, pixels, text
from app.mixing import name
from app.state import STRIP, Session
from app.temperature import in_words

BIG, BIG_NARROW = 392, 280  # pixels on the screen
THUMB, THUMB_NARROW = 84, 56
TILE = 56
UNREACHABLE_RETRY_S = 3

_DONE = {"keep": "kept", "sample": "drawn again", "resample": "drawn again", "mean": "at the mean of their prior"}


def toolbar(card: Card, session: Session, answer: Answer | None) -> str:
    recipe = session.recipe
    seed, n = recipes.seed(recipe), recipes.count(recipe)
    mode = recipe["output"]["image"]
    outputs = "".join(
        f'<button type="button" {intent("output", image=key)}{html.state("pressed", key == mode)}>{label}</button>'
        for key, label in (("mean", "Mean"), ("sample", "Sample"))
    )
    gallery = session.view.gallery
    return (
        '<div class="bar1"><span class="field"><label for="seed">Seed</label>'
        f'<input id="seed" type="text" title="{words.SEED}" value="{seed}" inputmode="numeric"'
        f' data-number="seed" data-min="0"'
        f' data-max="{recipes.MAX_SEED}" autocomplete="off">'
        f'<button type="button" class="mini" {intent("new_seed")} aria-label="New seed" title="New seed (N)">'
        f"{icon(html.DICE)}</button></span>"
        '<span class="field"><label for="n">Images</label>'
        f'<input id="n" type="text" title="{words.IMAGES}" value="{n}" inputmode="numeric"'
        f' data-number="images" data-min="1"'
        f' data-max="{card.limits.max_images}" autocomplete="off" size="3"></span>'
        f'<button type="button" class="btn icon line" {intent("gallery", on=not gallery)} aria-label="All images"'
        f'{html.state("pressed", gallery)} title="All images at once">{icon(html.GRID)}</button>'
        f'<span class="grow"></span><div class="seg" role="group" aria-label="Output">{outputs}</div>'
        f"{_download(card, session, answer)}</div>"
    )


def pictures(card: Card, session: Session, answer: Answer) -> str:
    """The selected image with its neighbours beside it, or all of them."""
    if session.view.gallery:
        tiles = "".join(_tile(card, session, image, TILE, TILE) for image in answer.images)
        return f'<div class="gallery" role="group" aria-label="All images">{tiles}</div>'
    image = answer.images[min(session.view.image, len(answer.images) - 1)]
    big = pixels(
        image.url,
        card.image,
        BIG,
        f"Sample, seed {image.seed}, {_temperature_in_words(answer)}",
        narrow=BIG_NARROW,
        extra=f'id="shown" data-sha256="{attribute(image.sha256)}" data-seed="{image.seed}"',
    )
    thumbs = "".join(_tile(card, session, one, THUMB, THUMB_NARROW) for one in answer.images)
    beside = f'<div class="thumbs" role="group" aria-label="Images">{thumbs}</div>' if len(answer.images) > 1 else ""
    return f'<div class="pics"><figure>{big}</figure>{beside}</div>'


def examples(card: Card, images: Sequence[str]) -> str:
    """The model's own test images, shown while it makes its first."""
    big = pixels(images[0], card.image, BIG, f"Test image 0 of {card.dataset}", narrow=BIG_NARROW)
    rest = "".join(
        pixels(image, card.image, THUMB, f"Test image {i} of {card.dataset}", narrow=THUMB_NARROW)
        for i, image in enumerate(images[:4])
    )
    return f'<div class="pics"><figure>{big}</figure><div class="thumbs">{rest}</div></div>'


def status(card: Card, session: Session, answer: Answer) -> str:
    """What the image on the screen is and what it took."""
    image = answer.images[min(session.view.image, len(answer.images) - 1)]
    source = answer.recipe["source"]
    first = f"Test image <b>{source['example']}</b>" if "example" in source else f"Seed <b>{image.seed}</b>"
    took = f"<b>{_milliseconds(answer.timing.decode_ms)}</b> on {text(answer.provider.upper())}"
    n = len(answer.images)
    pages = (
        f'<span class="pages"><button type="button" class="mini" {intent("page", by=-1)} title="The {n} seeds before"'
        f' aria-label="Previous {n} seeds"{html.flag("disabled", recipes.seed(session.recipe) < n)}>'
        f'{icon(html.BACK)}</button><button type="button" class="mini" {intent("page", by=1)}'
        f' title="The {n} seeds after" aria-label="Next {n} seeds">{icon(html.FORTH)}</button></span>'
    )
    facts = (
        (first, words.SEED),
        (f"T <b>{in_words(answer.recipe['temperature'])}</b>", words.TEMPERATURE),
        (f"<b>{answer.levels_computed} of {len(card.levels)}</b> levels computed", words.COMPUTED),
        (took, words.TIME),
    )
    said = "".join(f"<span{words.tip(about)}>{fact}</span>" for fact, about in facts)
    return (
        f'{note(session)}<div class="stat"><p class="idle" role="status">{said}</p>'
        f'<p class="wait"{words.tip(words.IMAGES)}>{_what_is_computed(card, session)}</p>{pages}</div>{_edits(session)}'
    )


def loading(sentence: str) -> str:
    return f'<div class="stat"><p role="status"><span>{text(sentence)}</span></p></div>'


def trouble(error: ApiError) -> str:
    """What went wrong, in a sentence, with the field that was wrong and a way to try again: by itself where waiting
    helps."""
    if error.kind in ("busy", "not_ready"):
        seconds = error.retry_after or 2.0
        what = "Busy" if error.kind == "busy" else "The server is not ready"
        return (
            f'<div class="stat warn" data-retry="{seconds:g}"><p role="status">'
            f"{what}. Next try in {seconds:g} s.</p>{_retry()}</div>"
        )
    fields = "".join(f" {text(fault.pointer)}: {text(fault.detail)}." for fault in error.fields)
    again = f' data-retry="{UNREACHABLE_RETRY_S}"' if error.kind == "unreachable" else ""
    return f'<div class="stat warn"{again}><p role="alert">{text(error.sentence)}{fields}</p>{_retry()}</div>'


def strips(card: Card, session: Session, alone: Sequence[SampleImage], below: Sequence[SampleImage]) -> str:
    """Two halves of a level's role: itself drawn again with the rest held, and the rest drawn again with it held."""
    both = _alone(card, session, alone) + _below(card, session, below)
    return f'<section class="card strip"><div class="two">{both}</div></section>'


def strip_draws(draw: int) -> range:
    """The draws in a strip: eight in a row, so that keeping one does not move the others."""
    first = draw - draw % STRIP
    return range(first, first + STRIP)


def draw_below(card: Card, session: Session) -> int:
    """The draw that the levels below the selected one have in common, as far as the strip can say it."""
    levels = recipes.below(card, session.view.level, session.view.locks)
    return recipes.draw(session.recipe, levels[0]) if levels else 0


def _alone(card: Card, session: Session, images: Sequence[SampleImage]) -> str:
    level, recipe = session.view.level, session.recipe
    last = len(card.levels) - 1
    title = f"Only level {level} drawn again"
    if level in session.view.locks:
        return _strip(title, "", f"Level {level} is locked. Unlock it to draw it again.")
    if level in recipes.held(recipe):
        return _strip(title, "", f"Level {level} comes from another image, or an edit draws it.")
    held = [f"0–{level - 1} fixed" if level > 1 else "0 fixed"] if level else []
    same = [f"{html.span(range(level + 1, last + 1))} same noise"] if level < last else []
    now = recipes.draw(recipe, level)
    tiles = _draws(card, images, strip_draws(now), now, below=False, what=f"Level {level} drawn again")
    return _strip(title, ", ".join(held + same), tiles)


def _below(card: Card, session: Session, images: Sequence[SampleImage]) -> str:
    level, locks = session.view.level, session.view.locks
    title = f"Levels 0–{level} fixed" if level else "Level 0 fixed"
    free = recipes.below(card, level, locks)
    if not free:
        return _strip(title, "", "No level below it is free to be drawn again.")
    locked = [other for other in locks if other > level]
    caption = f"{html.span(free)} drawn again" + (f", {html.span(locked)} locked" if locked else "")
    now = draw_below(card, session)
    common = now if all(recipes.draw(session.recipe, other) == now for other in free) else None
    tiles = _draws(card, images, strip_draws(now), common, below=True, what=f"Levels {html.span(free)} drawn again")
    return _strip(title, caption, tiles)


def _strip(title: str, caption: str, content: str) -> str:
    inside = content if content.startswith("<") else f'<p class="mut none">{content}</p>'
    return (
        f'<div><div class="hd"{words.tip(words.DRAWN)}><h2>{title}</h2><span class="mut">{caption}</span></div>'
        f'<div class="im">{inside}</div></div>'
    )


def _draws(
    card: Card, images: Sequence[SampleImage], draws: Sequence[int], now: int | None, *, below: bool, what: str
) -> str:
    return "".join(
        f'<button type="button" {intent("keep", draw=draw, below=below)}{html.state("pressed", draw == now)}'
        f' title="Keep draw {draw}">{pixels(image.url, card.image, TILE, f"{what}, draw {draw}")}</button>'
        for draw, image in zip(draws, images, strict=False)
    )


def _tile(card: Card, session: Session, image: SampleImage, box: int, narrow: int) -> str:
    pressed = html.state("pressed", image.index == session.view.image)
    return (
        f'<button type="button" {intent("image", image=image.index)}{pressed} title="Seed {image.seed}">'
        f"{pixels(image.url, card.image, box, f'Sample, seed {image.seed}', narrow=narrow)}</button>"
    )


def _download(card: Card, session: Session, answer: Answer | None) -> str:
    if answer is None:
        return ""
    image = answer.images[min(session.view.image, len(answer.images) - 1)]
    return (
        f'<a class="btn icon line" id="download" href="{attribute(image.url)}" aria-label="Download PNG"'
        f' download="{attribute(card.id)}-{image.seed}.png" title="Download PNG with its recipe">'
        f"{icon(html.DOWNLOAD)}</a>"
    )


def _edits(session: Session) -> str:
    """What this image takes from others, and a way to take nothing."""
    edits = session.recipe["edits"]
    if not edits:
        return ""
    parts = [
        f"levels {html.span(edit['levels'])} from {text(name_of(edit['source']))}, {edit['space']} space"
        if edit["op"] == "swap"
        else f"levels {html.span(edit['levels'])} {_DONE.get(edit.get('mode', edit['op']), 'changed')}"
        for edit in edits
    ]
    return (
        f'<p class="edits"><span{words.tip(words.LEVEL)}>Edited: {"; ".join(parts)}.</span>'
        f'<button type="button" class="btn"'
        f" {intent('drop_edits')}>{icon(html.CLOSE)}Remove</button></p>"
    )


def name_of(source: dict[str, object]) -> str:
    return "other seeds" if "seeds" in source else name(source)


def _milliseconds(value: float) -> str:
    return f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms"


def note(session: Session) -> str:
    return f'<p class="stat warn" role="alert">{text(session.note)}</p>' if session.note else ""


def _what_is_computed(card: Card, session: Session) -> str:
    n = recipes.count(session.recipe)
    return f"Computing {n} image{'s' if n > 1 else ''}, {len(card.levels)} levels each"


def _temperature_in_words(answer: Answer) -> str:
    values = answer.recipe["temperature"]
    if len(set(values)) == 1:
        return f"temperature {values[0]:.2f}"
    return f"temperature {values[0]:.2f} at level 0, {values[-1]:.2f} at level {len(values) - 1}"


def _retry() -> str:
    return f'<button type="button" class="btn line" {intent("retry")}>Retry</button>'
