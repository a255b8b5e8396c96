"""What cannot be done where latents are 0 or 1 (a Bernoulli prior), found before anything is computed.

Many values of the noise give the same latent, so latents have no noise of their own; there is nothing between 0 and
1 to hold; and a temperature does not scale the noise, so all that is drawn of one level has the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from server.edits import ResolvedEdit, ResolvedInterpolate, ResolvedKeep, ResolvedResample
from server.recipe import Fault, fault

NO_NOISE = (
    "The latents of this model are 0 or 1, and many values of the noise give the same one: an image that was encoded "
    'does not say which was its own. Use space "latent" for it; a seed has its noise and can be taken in either space'
)
NOTHING_BETWEEN = (
    "The latents of this model are 0 or 1, and there is nothing between them to hold; "
    'use space "noise" to interpolate with a seed'
)
NOISE_LOST = (
    "The latents of this model are 0 or 1, and these levels hold some whose noise is not known; "
    "resample them first, or swap them with a seed in noise space"
)
ONE_TEMPERATURE = (
    "The latents of this model are 0 or 1, and what is drawn of one level has one temperature: "
    "here part of a level would have another. Use the same, 0, or no mask"
)


@dataclass
class _Level:
    """What is known of a level between two edits: the temperature of what is drawn, None if nothing is."""

    temperature: float | None
    held: bool

    def mixes(self, temperature: float, masked: bool) -> bool:
        """Whether drawing at `temperature` would leave two in this level; 0 mixes with any, its noise being 0."""
        return masked and bool(self.temperature) and temperature not in (0.0, self.temperature)

    def draw(self, temperature: float, masked: bool) -> None:
        if not masked:
            self.held = False
        if not masked or not self.temperature:
            self.temperature = temperature

    def hold(self, masked: bool) -> None:
        self.held = True
        if not masked:
            self.temperature = None


def discrete_faults(
    start: Sequence[float | None], temperature: Sequence[float], edits: Sequence[ResolvedEdit]
) -> list[Fault]:
    """Every fault of these edits. `start` has the temperature of each level before them, None where it is held."""
    levels = [_Level(drawn_at, held=drawn_at is None) for drawn_at in start]
    faults = []
    for index, edit in enumerate(edits):
        for place, reason in _faults(edit, [levels[i] for i in edit.levels], [temperature[i] for i in edit.levels]):
            faults.append(fault(reason, "edits", index, *place))
    return faults


def _faults(edit: ResolvedEdit, levels: list[_Level], own: list[float]) -> list[tuple[tuple[str, ...], str]]:
    """What is wrong with one edit, and where in it; and let it act on `levels`, whose temperatures are `own`."""
    if isinstance(edit, ResolvedInterpolate):
        if edit.space == "latent":
            return [(("space",), NOTHING_BETWEEN)]
        if not edit.drawn:
            return [(("space",), NO_NOISE)]
        if any(level.held for level in levels):
            return [(("levels",), NOISE_LOST)]
        if any(level.temperature != tau for level, tau in zip(levels, own, strict=True)):
            return [(("levels",), ONE_TEMPERATURE)]
        return []
    masked = edit.mask is not None
    if isinstance(edit, ResolvedKeep) or (not isinstance(edit, ResolvedResample) and edit.space == "latent"):
        for level in levels:
            level.hold(masked)
        return []
    if isinstance(edit, ResolvedResample):
        other = 0.0 if edit.mode == "mean" else edit.temperature
        temperatures = own if other is None else [other] * len(own)
        where = "mask" if edit.temperature is None else "temperature"
    elif edit.drawn:
        temperatures, where = own, "mask"
    else:
        return [(("space",), NO_NOISE)]
    mixes = any(level.mixes(tau, masked) for level, tau in zip(levels, temperatures, strict=True))
    for level, tau in zip(levels, temperatures, strict=True):
        level.draw(tau, masked)
    return [((where,), ONE_TEMPERATURE)] if mixes else []
