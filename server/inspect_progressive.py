"""Progressive reconstruction: an image from the first k levels of its latents, for each k, and how good it is.

Every step is a recipe: the reconstruction, with the levels from k on taken from the prior instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from model_zoo.manifest import Manifest
from server.edits import ResolvedResample
from server.encode import Encoding
from server.recipe import RecipeError, fault
from server.resolve import Resolved


def steps_of(steps: Literal["levels", "groups"] | Sequence[int], manifest: Manifest) -> tuple[int, ...]:
    """How many levels each step keeps, in order. Raises RecipeError where there are not so many."""
    count = len(manifest.levels)
    if steps == "levels":
        return tuple(range(count + 1))
    if steps == "groups":
        return tuple(sorted({0, count, *(max(levels) + 1 for levels in manifest.groups.values())}))
    assert not isinstance(steps, str)  # both names are done
    wrong = [index for index, kept in enumerate(steps) if kept > count]
    if wrong:
        raise RecipeError([fault(f"This model has {count} levels to keep", "steps", index) for index in wrong])
    return tuple(sorted(set(steps)))


def progressive(
    reconstruction: Resolved, steps: Sequence[int], others: Literal["mean", "sample"]
) -> tuple[Resolved, ...]:
    """The recipe of each step: the first k levels of `reconstruction` (a recipe without edits), the others from the
    prior, at their mean or drawn with draw 0."""
    count = len(reconstruction.temperature)
    return tuple(
        reconstruction.model_copy(
            update={"edits": (ResolvedResample(levels=tuple(range(kept, count)), mode=others),) if kept < count else ()}
        )
        for kept in steps
    )


def kept_bits(encoding: Encoding, steps: Sequence[int]) -> tuple[float, ...]:
    """The rate of the levels that each step keeps, in bits."""
    cumulative = np.concatenate([[0.0], np.cumsum(encoding.rates)]) / np.log(2)
    return tuple(float(cumulative[kept]) for kept in steps)
