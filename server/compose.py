"""The edits of a recipe, one after the other: each a function from the pass that it finds to the pass that it leaves.

A swap, a resample and a keep are choices of noise and latents that are known before. An interpolation starts from
what the images are by then, so it looks at them first: one decode of the pass so far, for all images together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from model_zoo.manifest import Level, Manifest
from server.edits import ResolvedEdit, ResolvedInterpolate, ResolvedKeep, ResolvedResample, ResolvedSwap
from server.masks import inside
from server.noise import normal
from server.plan import Bools, Floats, Known, Pass, columns, noise_of, start
from server.resolve import Resolved, reference
from server.sources import SeedSource


@dataclass(frozen=True)
class Seen:
    """What a pass makes: the latents and the prior they were drawn from, [B, N] each."""

    latents: Floats
    prior_mean: Floats
    prior_scale: Floats


Look = Callable[[Pass], Seen]


@dataclass(frozen=True)
class Scene:
    """What every edit may ask for: the recipe, its model, the other images, and which of the n images these are."""

    recipe: Resolved
    manifest: Manifest
    known: Known
    rows: range
    look: Look

    def levels(self, edit: ResolvedEdit) -> list[Level]:
        return [self.manifest.levels[index] for index in edit.levels]

    def other_latents(self, edit: ResolvedSwap | ResolvedInterpolate, level: Level) -> Floats:
        """z of the images that an edit refers to, at one level, [B, C*H*W]."""
        return np.stack([self.known.latents[reference(edit, image)][columns(level)] for image in self.rows])

    def other_noise(self, edit: ResolvedSwap | ResolvedInterpolate, level: Level) -> tuple[Floats, float]:
        """Their noise [B, C*H*W], and the temperature that it acts at.

        A seed is drawn at this recipe's temperature; the noise of a real image has its own size already.
        """
        if edit.drawn:
            seeds = [source.seed for i in self.rows if isinstance(source := reference(edit, i), SeedSource)]
            noise = [normal(seed, level.index, 0, level.size) for seed in seeds]
            return np.stack(noise), self.recipe.temperature[level.index]
        return np.stack([self.known.noise[reference(edit, image)][columns(level)] for image in self.rows]), 1.0


def compose(recipe: Resolved, manifest: Manifest, known: Known, rows: range, look: Look) -> Pass:
    """The pass that makes the images `rows` of a recipe. `look` decodes a pass, for the edits that need it."""
    scene = Scene(recipe, manifest, known, rows, look)
    work = start(recipe, manifest, known, rows)
    for edit in recipe.edits:
        work = apply(edit, work, scene)
    return work


def apply(edit: ResolvedEdit, before: Pass, scene: Scene) -> Pass:
    """The pass that one edit leaves; the one that it found stays as it was."""
    if isinstance(edit, ResolvedSwap):
        return _swap(edit, before, scene)
    if isinstance(edit, ResolvedResample):
        return _resample(edit, before, scene)
    if isinstance(edit, ResolvedKeep):
        return _keep(edit, before, scene)
    if edit.alpha == 0:
        return before
    if edit.alpha == 1:
        swap = ResolvedSwap(levels=edit.levels, source=edit.source, space=edit.space)
        return _swap(swap, before, scene)
    return _mix_latents(edit, before, scene) if edit.space == "latent" else _mix_noise(edit, before, scene)


def _swap(edit: ResolvedSwap, before: Pass, scene: Scene) -> Pass:
    after = before.copy()
    for level in scene.levels(edit):
        within = inside(edit.mask, level)
        if edit.space == "latent":
            hold(after, level, within, scene.other_latents(edit, level))
        else:
            draw(after, level, within, *scene.other_noise(edit, level))
    return after


def _resample(edit: ResolvedResample, before: Pass, scene: Scene) -> Pass:
    after = before.copy()
    for level in scene.levels(edit):
        own = scene.recipe.temperature[level.index]
        temperature = own if edit.temperature is None else edit.temperature
        noise = np.zeros((len(after), level.size), np.float32)
        if edit.mode == "mean":
            temperature = 0.0
        else:
            seeds = [scene.recipe.seeds[image] for image in scene.rows]
            noise = np.stack([normal(seed, level.index, edit.draw, level.size) for seed in seeds])
        draw(after, level, inside(edit.mask, level), noise, temperature)
    return after


def _keep(edit: ResolvedKeep, before: Pass, scene: Scene) -> Pass:
    after, encoded = before.copy(), scene.recipe.encoded
    assert encoded is not None  # resolve refuses to keep what was never encoded
    for level in scene.levels(edit):
        latents = scene.known.latents[encoded][columns(level)]
        hold(after, level, inside(edit.mask, level), np.broadcast_to(latents, (len(after), level.size)))
    return after


def _mix_latents(edit: ResolvedInterpolate, before: Pass, scene: Scene) -> Pass:
    """z = (1 - alpha) z_here + alpha z_there, held."""
    after, latents = before.copy(), scene.look(before).latents
    alpha = np.float32(edit.alpha)
    for level in scene.levels(edit):
        mixed = (1 - alpha) * latents[:, columns(level)] + alpha * scene.other_latents(edit, level)
        hold(after, level, inside(None, level), mixed)
    return after


def _mix_noise(edit: ResolvedInterpolate, before: Pass, scene: Scene) -> Pass:
    """Noise on the arc from here to there, drawn with.

    What is mixed is tau * eps, the noise as it acts: a held latent's is (z - mu) / sigma, as it is now. Where both
    ends have the same temperature and nothing is held, that is mixing eps at this temperature, and is done so.
    """
    after = before.copy()
    seen = None
    for level in scene.levels(edit):
        place = columns(level)
        kept, here = before.keep[:, place], before.noise[:, place]
        tau = before.temperature[:, level.index, None]
        there, temperature = scene.other_noise(edit, level)
        if kept.any() or (tau != np.float32(temperature)).any():
            here, there, temperature = tau * here, np.float32(temperature) * there, 1.0
        if kept.any():
            seen = seen or scene.look(before)
            residual = noise_of(seen.latents[:, place], seen.prior_mean[:, place], seen.prior_scale[:, place])
            here = np.where(kept, residual, here)
        draw(after, level, inside(None, level), slerp(here, there, edit.alpha), temperature)
    return after


def hold(work: Pass, level: Level, within: Bools, latents: Floats) -> None:
    """Keep `latents` [B, C*H*W] where `within` [C*H*W]."""
    place = columns(level)
    work.keep[:, place] |= within
    work.given[:, place] = np.where(within, latents, work.given[:, place])
    work.noise[:, place] = np.where(within, np.float32(0), work.noise[:, place])
    if work.keep[:, place].all():
        work.temperature[:, level.index] = 0


def draw(work: Pass, level: Level, within: Bools, noise: Floats, temperature: float) -> None:
    """Draw with `noise` [B, C*H*W] where `within` [C*H*W], at a temperature that the rest need not have.

    The decoder takes one temperature a level. If another part of the level is drawn, at tau, this part's noise is
    scaled by temperature / tau, which under a normal prior is the same. (Where tau is 0, the other noise is 0.)
    """
    if not within.any():
        return
    place = columns(level)
    others = ~work.keep[:, place] & ~within
    tau = work.temperature[0, level.index]  # of all images: edits act on the same elements of each
    if not others.any() or tau == 0:
        work.noise[:, place] = 0
        work.temperature[:, level.index] = tau = np.float32(temperature)
    if tau != np.float32(temperature):
        noise = noise * np.float32(temperature / tau)
    work.noise[:, place] = np.where(within, noise, work.noise[:, place])
    work.given[:, place] = np.where(within, np.float32(0), work.given[:, place])
    work.keep[:, place] &= ~within


def slerp(here: Floats, there: Floats, alpha: float) -> Floats:
    """On the arc from `here` to `there`, [B, D] each, at the part `alpha` of its angle (Shoemake, 1985).

    A mean of two noises is too small to be noise; on the arc its size goes from one end's to the other's. Where the
    two have no angle between them (one is 0, or they are parallel), the line.
    """
    a, b = here.astype(np.float64), there.astype(np.float64)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosine = np.divide((a * b).sum(axis=1), norms, out=np.ones_like(norms), where=norms > 0)
    angle = np.arccos(cosine.clip(-1, 1))
    sine = np.sin(angle)
    flat = sine < 1e-6
    sine = np.where(flat, 1.0, sine)
    first = np.where(flat, 1 - alpha, np.sin((1 - alpha) * angle) / sine)
    second = np.where(flat, alpha, np.sin(alpha * angle) / sine)
    return (first[:, None] * a + second[:, None] * b).astype(np.float32)
