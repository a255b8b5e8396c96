"""A model that is measured in milliseconds: what the tests of the benchmarks share."""

from __future__ import annotations

import pytest

from training.models.vdvae import VDVAEConfig
from training.recipe import Recipe, load_recipe

MODEL = {
    "width": 16,
    "custom_width_str": "",
    "zdim": 2,
    "enc_blocks": "16x1,16d4,4x1,4d4,1x1",
    "dec_blocks": "1x1,4m1,16m4",
}


@pytest.fixture(scope="session")
def tiny() -> Recipe:
    """The recipe `vdvae-mnist` with three small levels, batches of two images and full precision."""
    recipe = load_recipe("vdvae-mnist", ["schedule.batch_size=2", "schedule.precision=float32"])
    model = VDVAEConfig.model_validate(recipe.model.model_dump() | MODEL)
    return recipe.model_copy(update={"name": "tiny", "model": model})
