"""A morph: the way from one recipe to the next, frame by frame, each frame a recipe again.

Between two seeds the noise turns (on the arc between the two), between encoded images the latents move (on the line),
and temperatures go along. With a stagger the coarse levels go first and the fine ones follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from model_zoo.manifest import Manifest
from server.discrete import NOTHING_BETWEEN
from server.edits import ResolvedEdit, ResolvedInterpolate, ResolvedSwap, Space
from server.fields import Strict
from server.recipe import Fault, Output, Recipe, fault
from server.resolve import Resolved
from server.sources import EncodedSource, Reference, SeedSource, SeedsSource, image_alone

MAX_KEYFRAMES = 32
BANDS = 8  # levels that move together in a staggered morph, where one resolution is all there is

Format = Literal["apng", "webp", "gif", "mp4"]


class Morph(Strict):
    """Keyframes, each a recipe of one image, and how to go from one to the next.

    `transition_s` is the time from one keyframe to the next, `hold_s` how long each is shown before. `stagger` is the
    part of a transition that the finest levels wait while the coarsest already move. `space` "auto" is "noise" between
    two images that are drawn, else "latent". `scale` enlarges by nearest neighbour. APNG, lossless WebP and GIF have
    the same bytes each time; MP4 (H.264) is smaller, and not exact.
    """

    keyframes: tuple[Recipe, ...] = Field(min_length=2, max_length=MAX_KEYFRAMES, strict=False)
    format: Format = "apng"
    transition_s: Annotated[float, Field(gt=0, le=30)] = 2.0
    hold_s: Annotated[float, Field(ge=0, le=10)] = 0.5
    fps: Annotated[int, Field(ge=1, le=60)] = 15
    easing: Literal["smooth", "linear"] = "smooth"
    stagger: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    space: Literal["auto", "noise", "latent"] = "auto"
    loop: bool = True
    scale: Annotated[int, Field(ge=1, le=32)] = 4


@dataclass(frozen=True)
class Keyframe:
    """Where a morph comes by: the recipe of that image, and the source that stands for it in frames between."""

    recipe: Resolved
    source: SeedsSource | EncodedSource

    @property
    def reference(self) -> Reference:
        """The image, as edits refer to it."""
        if isinstance(self.source, SeedsSource):
            return SeedSource(seed=self.source.seeds[0])
        return image_alone(self.source)

    @property
    def drawn(self) -> bool:
        """Whether it was drawn from the prior, and not made from an image that was encoded."""
        return isinstance(self.recipe.source, SeedsSource)


@dataclass(frozen=True)
class Frame:
    """One picture of a morph, and how long it is shown, in seconds."""

    recipe: Resolved
    seconds: float


def plain(recipe: Resolved) -> bool:
    """Whether the source and temperatures say all of a recipe, so that its source can stand for it."""
    return not recipe.edits and not recipe.levels


def morph_faults(keyframes: Sequence[Resolved], asked: Morph, manifest: Manifest) -> list[Fault]:
    """What keeps these recipes from being the keyframes of a morph."""
    faults = [
        fault(f"A keyframe is one image, and this recipe makes {recipe.n}", "keyframes", index, "n")
        for index, recipe in enumerate(keyframes)
        if recipe.n != 1
    ]
    if manifest.prior == "bernoulli":
        if asked.space == "latent":
            faults.append(fault(NOTHING_BETWEEN, "space"))
        faults += [
            fault(f"{NOTHING_BETWEEN}, drawn without edits or changed levels", "keyframes", index)
            for index, recipe in enumerate(keyframes)
            if not (plain(recipe) and isinstance(recipe.source, SeedsSource))
        ]
    return faults


def frames(keyframes: Sequence[Keyframe], asked: Morph, manifest: Manifest) -> list[Frame]:
    """All pictures in order. A keyframe is its own recipe; those between come from `between`."""
    steps = steps_of(asked)
    moving = asked.transition_s / steps
    pairs = [*zip(keyframes, [*keyframes[1:], keyframes[0]], strict=True)]
    made: list[Frame] = []
    for index, (here, there) in enumerate(pairs):
        last = index == len(pairs) - 1 and not asked.loop
        made.append(Frame(_output(here.recipe, asked), asked.hold_s + (0 if last and asked.hold_s else moving)))
        if last:
            break
        space = asked.space
        if space == "auto":
            space = "noise" if here.drawn and there.drawn else "latent"
        for step in range(1, steps):
            alphas = staggered(step / steps, asked.stagger, bands(manifest), asked.easing)
            made.append(Frame(_output(between(here, there, alphas, space), asked), moving))
    return made


def frame_count(keyframes: int, asked: Morph) -> int:
    """How many frames there will be."""
    transitions = keyframes if asked.loop else keyframes - 1
    return keyframes + transitions * (steps_of(asked) - 1)


def steps_of(asked: Morph) -> int:
    """Frames from one keyframe to the next."""
    return max(1, round(asked.fps * asked.transition_s))


def bands(manifest: Manifest) -> list[tuple[int, ...]]:
    """Levels that move together, coarse first: the resolutions; or even parts of the levels, if there is only one."""
    groups = list(manifest.groups.values())
    if len(groups) > 1:
        return sorted(groups)
    levels = groups[0]
    size = -(-len(levels) // min(BANDS, len(levels)))
    return [levels[start : start + size] for start in range(0, len(levels), size)]


def staggered(
    time: float, stagger: float, bands: Sequence[tuple[int, ...]], easing: Literal["smooth", "linear"]
) -> dict[tuple[int, ...], float]:
    """How far each band is on its way at `time`, 0 to 1: the last one starts `stagger` later, and all are as fast."""
    last = max(len(bands) - 1, 1)
    raw = {
        band: min(max((time - stagger * index / last) / (1 - stagger), 0.0), 1.0) for index, band in enumerate(bands)
    }
    return {band: round(x * x * (3 - 2 * x) if easing == "smooth" else x, 6) for band, x in raw.items()}


def between(here: Keyframe, there: Keyframe, alphas: dict[tuple[int, ...], float], space: Space) -> Resolved:
    """The recipe of a frame: `here`, with each band of levels its part of the way to `there`.

    Bands that have the same part move in one edit. In noise space, an image that holds latents first lets go of them
    and is drawn with its noise instead, so that levels that still wait adapt to those that moved.
    """
    temperature = list(here.recipe.temperature)
    moved: dict[float, list[int]] = {}
    for band, alpha in alphas.items():
        moved.setdefault(alpha, []).extend(band)
        for level in band:
            tau = (1 - alpha) * here.recipe.temperature[level] + alpha * there.recipe.temperature[level]
            temperature[level] = round(tau, 6)
    edits: list[ResolvedEdit] = []
    if space == "noise" and not isinstance(here.source, SeedsSource):
        edits.append(ResolvedSwap(levels=tuple(range(len(temperature))), source=here.reference, space="noise"))
    edits += [
        ResolvedInterpolate(levels=tuple(sorted(levels)), source=there.reference, alpha=alpha, space=space)
        for alpha, levels in moved.items()
        if alpha > 0
    ]
    return here.recipe.model_copy(
        update={"source": here.source, "temperature": tuple(temperature), "levels": {}, "edits": tuple(edits)}
    )


def _output(recipe: Resolved, asked: Morph) -> Resolved:
    output = Output(image=recipe.output.image, draw=recipe.output.draw, scale=asked.scale)
    return recipe.model_copy(update={"output": output})
