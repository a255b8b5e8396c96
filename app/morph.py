"""The Morph screen: images in order, the way between them frame by frame, and the film as a file."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from app import changing, html, morphing, source_fields, words
from app.client import Card, Job, Recipe, SampleImage
from app.html import attribute, icon, intent, pixels, text
from app.morphing import Film, Format
from app.state import Session
from app.words import tip

KEY, BIG, BIG_NARROW, TILE = 84, 252, 336, 56

PLAY = '<path d="M5 3.5v9l7-4.5z" class="f"/>'
PLUS = '<path d="M8 3v10M3 8h10"/>'
SPACES = {
    "auto": ("Auto", "Noise between two seeds, latents where a test image is one of them"),
    "noise": ("Noise", "The noise of both images turns from one to the other, on an arc"),
    "latent": ("Latents", "The latents of both images move on a straight line"),
}
STAGGERS = {
    0.0: ("Together", "All levels move at once"),
    0.4: ("A little", "The finest levels wait for 0.4 of the time while the coarsest move"),
    0.8: ("Coarse first", "The finest levels wait for 0.8 of the time while the coarsest move"),
}
EASINGS = {"smooth": ("Smooth", "Starts and stops gently"), "linear": ("Even", "Moves evenly")}
SECONDS = {1.0: ("1 s", "1 second"), 2.0: ("2 s", "2 seconds"), 4.0: ("4 s", "4 seconds")}
HOLDS = {0.0: ("0 s", "Does not rest"), 0.5: ("0.5 s", "Half a second"), 1.0: ("1 s", "1 second")}
RATES = {10: ("10", "10 frames a second"), 15: ("15", "15 frames a second"), 30: ("30", "30 frames a second")}
LOOPS = {True: ("Loop", "Back to the first image, and on"), False: ("Once", "Ends with the last image")}
FORMATS: dict[Format, tuple[str, str]] = {
    "apng": ("APNG", "Exact; carries its recipes"),
    "webp": ("WebP", "Exact and small"),
    "gif": ("GIF", "For everywhere; at most 256 colours"),
    "mp4": ("MP4", "Video; small, not exact. Not every server makes it"),
}
ONLY_SEEDS = "The latents of this model are 0 or 1, and nothing lies between them: images are seeds, and move in noise."
CALLED_OFF = "The export was called off."
ALONE = "Add a second image to see the way."


def heading() -> str:
    return (
        '<div class="ph"><div><h1>What lies between two images?</h1>'
        "<p>Put images in order, and see all levels move from one to the next.</p></div></div>"
    )


def keyframes(card: Card, film: Film, images: Sequence[SampleImage]) -> str:
    """The images in order; each can be changed, moved and removed."""
    count = len(film.keyframes)
    pairs = zip(film.keyframes, images, strict=True)
    tiles = "".join(_keyframe(card, recipe, image, index, count) for index, (recipe, image) in enumerate(pairs))
    full = html.flag("disabled", count >= morphing.MAX_KEYFRAMES)
    reason = f'<span class="mut">{ONLY_SEEDS}</span>' if morphing.only_seeds(card) else ""
    return (
        '<section class="card pad keys" aria-label="Images"><div class="hd">'
        f'<h2>Images <span class="mut" title="The images in order, and how many a film may have">{count} of'
        f" at most {morphing.MAX_KEYFRAMES}</span></h2>{reason}"
        f'<button type="button" class="btn line" {intent("morph_add")}{full} title="One more image at the end">'
        f'{icon(PLUS)}Add</button></div><ol tabindex="0" aria-label="Images in order">{tiles}</ol></section>'
    )


def motion(card: Card, film: Film) -> str:
    """How to go from one image to the next."""
    now, seeds = film.motion, morphing.only_seeds(card)
    rows = (
        _choice("morph_set", "stagger", "Levels", STAGGERS, now.stagger),
        _choice("morph_set", "space", "Between", SPACES, now.space, off="latent" if seeds else ""),
        _choice("morph_set", "easing", "Speed", EASINGS, now.easing),
        _choice("morph_set", "transition_s", "Time on the way", SECONDS, now.transition_s),
        _choice("morph_set", "hold_s", "Time on each image", HOLDS, now.hold_s),
        _choice("morph_set", "fps", "Frames per second", RATES, now.fps),
        _choice("morph_set", "loop", "At the end", LOOPS, now.loop),
    )
    return f'<section class="card pad" aria-label="Way"><h2>The way</h2>{_rows(rows)}</section>'


def player(card: Card, film: Film, frames: Sequence[str]) -> str:
    """One picture of the way, to be scrubbed and played. The page does that by itself, from the strip."""
    if not frames:
        return f'<section class="card pad" aria-label="Preview"><h2>Preview</h2><p class="mut">{ALONE}</p></section>'
    shown = pixels(frames[0], card.image, BIG, "Frame 1", narrow=BIG_NARROW, extra='id="film"')
    return (
        f'<section class="card pad player" aria-label="Preview">{shown}<div><h2>Preview</h2>'
        f'<p id="filmsaid"{tip(words.FRAME)}>{_where(film, 0)}</p>'
        f'<p class="mut"{tip(words.FRAME)}>{len(frames)} of the {film.frames} frames.</p>'
        f'<input type="range" id="filmat" min="0" max="{len(frames) - 1}" value="0" step="1" aria-label="Frame"'
        f' aria-valuetext="{_where(film, 0)}" title="Arrows: one frame back or on">'
        f'<button type="button" class="btn line" id="filmplay">{icon(PLAY)}Play</button></div></section>'
    )


def strip(card: Card, film: Film, frames: Sequence[str]) -> str:
    """Every picture of the preview; those of the list are named."""
    if not frames:
        return ""
    slow = film.motion.transition_s / morphing.steps(film)
    tiles = []
    for index, url in enumerate(frames):
        key, _, part = morphing.place(film, index)
        name = f"<b>{key + 1}</b>" if part == 0 else f"{100 * part:.0f} %"
        seconds = slow + (film.motion.hold_s if part == 0 else 0.0)
        tiles.append(
            f'<button type="button" class="plain{" key" if part == 0 else ""}" data-frame="{index}"'
            f' data-ms="{1000 * seconds:.0f}" data-said="{_where(film, index)}">'
            f"{pixels(url, card.image, TILE, _where(film, index))}<span{tip(words.FRAME)}>{name}</span></button>"
        )
    return (
        '<section class="card pad bylevel"><h2>Frame by frame</h2>'
        f'<div class="prog frames" role="group" aria-label="Frame by frame">{"".join(tiles)}</div></section>'
    )


def waiting(film: Film) -> str:
    """What is being computed. It appears only if that takes a while."""
    said = f"Making the way between {len(film.keyframes)} images"
    return f'<div class="stat later"><p role="status"{tip(words.FRAME)}>{said}</p></div>'


def export(card: Card, session: Session, running: bool) -> str:
    """What the file will be, and the button that has it made."""
    film, chosen = morphing.now(session), morphing.exporting(session)
    size = f"{card.image.width * chosen.scale} × {card.image.height * chosen.scale}"
    scales = {scale: (f"× {scale}", f"{scale} pixels for one, along each side") for scale in morphing.scales(card)}
    rows = (
        _choice("export_as", "format", "File", FORMATS, chosen.format),
        _choice("export_as", "scale", "Size", scales, chosen.scale),
    )
    off = html.flag("disabled", running or len(film.keyframes) < 2)
    return (
        f'<section class="card pad" aria-label="Export"><h2>Export</h2>{_rows(rows)}<p class="edfig">'
        f"<span{tip(words.FRAME)}><b>{film.frames}</b> frames</span>"
        f"<span{tip(words.FILM)}><b>{film.seconds:.1f}</b> seconds</span>"
        f"<span{tip(words.IMAGE_SIZE)}><b>{size}</b> pixels</span></p>"
        f'<button type="button" class="btn line" id="export" {intent("export")}{off}>{icon(html.DOWNLOAD)}'
        "Make the file</button></section>"
    )


def progress(job: Job) -> str:
    """How far the export is."""
    share = f"{100 * job.done / max(1, job.total):.0f}"
    return (
        f'<section class="card pad" aria-label="Export under way">'
        f'<p role="status"{tip(words.FRAME)}><b>{job.done}</b> of {job.total} images computed</p>'
        f'<progress max="100" value="{share}" aria-label="Export">{share} %</progress>'
        f'<button type="button" class="btn line" {intent("cancel_export")}>{icon(html.CLOSE)}Cancel</button></section>'
    )


def ended(card: Card, job: Job, file: bytes) -> str:
    """What became of the export: a link to the server's bytes, or why there is none."""
    if job.result is None:
        said = job.problem.detail if job.problem else CALLED_OFF
        return f'<section class="card pad" aria-label="Export"><p role="status">{text(said)}</p></section>'
    kind = job.result.media_type
    ending = kind.partition("/")[2]
    url = f"data:{kind};base64,{base64.b64encode(file).decode()}"
    return (
        '<section class="card pad" aria-label="Exported"><p role="status">The file is ready.</p>'
        f'<a class="btn line" id="film-file" href="{attribute(url)}"'
        f' download="{attribute(card.id)}-morph.{attribute(ending)}"'
        f' data-sha256="{attribute(job.result.sha256)}">'
        f"{icon(html.DOWNLOAD)}Download {text(ending)},"
        f" {job.result.bytes / 1000:.0f} kB</a></section>"
    )


def _keyframe(card: Card, recipe: Recipe, image: SampleImage, index: int, count: int) -> str:
    what = f"image {index + 1}"
    name = changing.name_of(recipe) + (", edited" if recipe["edits"] else "")
    moves = "".join(
        f'<button type="button" class="mini" {intent(do, index=index, **more)} aria-label="{label} {what}"'
        f' title="{label} this image"{html.flag("disabled", off)}>{icon(path)}</button>'
        for do, more, label, path, off in (
            ("morph_move", {"by": -1}, "Move earlier", html.BACK, index == 0),
            ("morph_move", {"by": 1}, "Move later", html.FORTH, index == count - 1),
            ("morph_drop", {}, "Remove", html.CLOSE, count == 1),
        )
    )
    shown = pixels(image.url, card.image, KEY, f"{what}, {name}", extra=f'data-sha256="{attribute(image.sha256)}"')
    return (
        f"<li>{shown}<div><p{tip(words.SEED)}><b>{index + 1}</b> {text(name)}</p><div>{moves}</div>"
        f'<div class="fields">{_source(card, recipe, index, what)}</div></div></li>'
    )


def _source(card: Card, recipe: Recipe, index: int, what: str) -> str:
    """The choice of an image; of seeds alone where nothing lies between others."""
    edited = bool(recipe["levels"] or recipe["edits"])
    explore = f'<option value="explore"{html.flag("selected", edited)}>the image in Explore</option>'
    if morphing.only_seeds(card):
        card, explore = card.model_copy(update={"examples": ()}), ""
    source = None if edited else changing.source_of(recipe)
    do = {"do": "morph_source", "index": index}
    return source_fields.fields(card, f"key-{index}", do, source, f"Source of {what}", explore)


def _where(film: Film, frame: int) -> str:
    """ "Image 2, seed 1241", or "25 % of the way from image 2 to image 3"."""
    key, other, part = morphing.place(film, frame)
    if part == 0:
        return attribute(f"Image {key + 1}, {changing.name_of(film.keyframes[key])}")
    return f"{100 * part:.0f} % of the way from image {key + 1} to image {other + 1}"


def _rows(rows: Sequence[tuple[str, str]]) -> str:
    lines = "".join(f"<div><span>{label}</span>{choice}</div>" for label, choice in rows)
    return f'<div class="setting">{lines}</div>'


def _choice(
    do: str, field: str, label: str, options: Mapping[Any, tuple[str, str]], now: object, off: str = ""
) -> tuple[str, str]:
    """A setting: what it is called, and its choices, of which one may be `off`."""
    buttons = "".join(
        f'<button type="button" {intent(do, **{field: key})}{html.state("pressed", key == now)} title="{about}"'
        f"{html.flag('disabled', key == off)}>{name}</button>"
        for key, (name, about) in options.items()
    )
    return label, f'<div class="seg" role="group" aria-label="{label}">{buttons}</div>'
