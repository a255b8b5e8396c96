"""The toy bundles, and every other bundle that must keep the same promises."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
from toy_bundle import write_toy

from model_zoo.manifest import Manifest
from model_zoo.zoo import BUNDLES
from server.models import Model, open_model, open_models
from server.recipe import Recipe
from server.resolve import Resolved, resolve
from server.settings import Settings

hypothesis.settings.register_profile("patient", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("patient")

MANIFESTS = sorted(BUNDLES.glob("*/manifest.json"))
SHIPPED = [path.parent.name for path in MANIFESTS]
DISCRETE = {path.parent.name for path in MANIFESTS if json.loads(path.read_bytes()).get("prior") == "bernoulli"}


@pytest.fixture(scope="session")
def toy_zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zoo with `vdvae-toy` (grey, Bernoulli) and `vdvae-toy-colour` (mixture of logistics). Do not write in it."""
    zoo = tmp_path_factory.mktemp("zoo")
    write_toy(zoo / "vdvae-toy")
    write_toy(zoo / "vdvae-toy-colour", "dmol", seed=1)
    return zoo


@pytest.fixture(scope="session")
def settings() -> Settings:
    return Settings(threads=1, provider="cpu", max_batch=4)


@pytest.fixture(scope="session")
def toys(toy_zoo: Path, settings: Settings) -> dict[str, Model]:
    models = open_models(toy_zoo, settings).shown()
    return {shown.id: shown.model for shown in models if isinstance(shown.model, Model)}


@pytest.fixture(scope="session")
def toy(toys: dict[str, Model]) -> Model:
    return toys["vdvae-toy"]


@pytest.fixture(scope="session")
def manifest(toy: Model) -> Manifest:
    return toy.bundle.manifest


@pytest.fixture(scope="session", params=["vdvae-toy", "vdvae-toy-colour", *SHIPPED])
def any_model(request: pytest.FixtureRequest, toys: dict[str, Model], settings: Settings) -> Model:
    """Each toy and each shipped bundle in turn."""
    return _model(request.param, toys, settings)


@pytest.fixture(scope="session", params=["vdvae-toy", "vdvae-toy-colour", *(n for n in SHIPPED if n not in DISCRETE)])
def normal_model(request: pytest.FixtureRequest, toys: dict[str, Model], settings: Settings) -> Model:
    """Each of them whose latents are Gaussian: new noise is sure to change one."""
    return _model(request.param, toys, settings)


def _model(name: str, toys: dict[str, Model], settings: Settings) -> Model:
    if name in toys:
        return toys[name]
    model = open_model(BUNDLES / name, settings)
    assert isinstance(model, Model), model.reason
    return model


Settle = Callable[..., Resolved]


@pytest.fixture(scope="session")
def settle(manifest: Manifest) -> Settle:
    """`settle(n=2, ...)`: the recipe with these fields, resolved for the toy (or for `manifest=`)."""
    toy_manifest = manifest

    def settle(manifest: Manifest = toy_manifest, **fields: object) -> Resolved:
        recipe = Recipe.model_validate({"source": {"seed": 1}, **fields})
        return resolve(recipe, manifest, fresh_seed=lambda: 0, max_images=64)

    return settle
