"""A zoo that changes while it is served: what is new comes, what is gone goes, and what is broken harms nobody."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from toy_bundle import write_toy

from model_zoo.bundle import describe_files, open_bundle, publish
from server.models import Model, Models, Unavailable, open_model, open_models
from server.plan import Pass
from server.settings import Settings
from server.states import StateCache


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """A zoo with one model, `toy`."""
    (tmp_path / "zoo").mkdir()
    write_toy(tmp_path / "zoo" / "toy")
    return tmp_path / "zoo"


def look_twice(models: Models) -> list[str]:
    return models.refresh() + models.refresh()


def replace(zoo: Path, id: str, seed: int) -> str:
    """Publish a toy with other weights under this id; returns its digest."""
    write_toy(zoo / f".{id}.new", seed=seed)
    return publish(zoo / f".{id}.new", zoo / id).digest


def damage(zoo: Path, id: str) -> None:
    content = bytearray((zoo / id / "weights.bin").read_bytes())
    content[100] ^= 1
    (zoo / id / "weights.bin").write_bytes(content)


def digest(models: Models, id: str) -> str:
    model = models.show(id).model
    assert isinstance(model, Model), model.reason
    return model.bundle.digest


def test_a_zoo_that_stays_as_it_is_is_opened_once(zoo: Path, settings: Settings) -> None:
    models = open_models(zoo, settings)
    before = models.show("toy")
    assert look_twice(models) == []
    assert models.show("toy") is before


def test_a_new_bundle_comes_and_a_removed_one_goes(zoo: Path, settings: Settings) -> None:
    models = open_models(zoo, settings)
    write_toy(zoo / "another", seed=1)
    assert look_twice(models) == ["another"]
    assert [shown.id for shown in models.shown()] == ["another", "toy"]
    shutil.rmtree(zoo / "toy")
    assert look_twice(models) == ["toy"]
    with pytest.raises(KeyError):
        models.show("toy")


def test_a_replaced_bundle_takes_the_place_of_the_old_which_goes_on_where_it_is_used(
    zoo: Path, settings: Settings, tmp_path: Path
) -> None:
    models = open_models(zoo, settings)
    write_toy(tmp_path / "old")
    old = models.show("toy").model
    assert isinstance(old, Model)
    new = replace(zoo, "toy", seed=7)
    assert look_twice(models) == ["toy"]
    assert digest(models, "toy") == new != old.bundle.digest
    work = Pass.blank(1, old.bundle.manifest)
    again = open_model(tmp_path / "old", settings)
    assert isinstance(again, Model)
    assert old.files == again.files
    expected = again.engine.decode(work, ("likelihood",))["likelihood"]
    np.testing.assert_array_equal(old.engine.decode(work, ("likelihood",))["likelihood"], expected)


def test_what_still_changes_is_not_opened_yet(zoo: Path, settings: Settings) -> None:
    models = open_models(zoo, settings)
    write_toy(zoo / "slow", seed=1)
    assert models.refresh() == []
    os.utime(zoo / "slow" / "weights.bin")  # it is still being copied
    assert models.refresh() == []
    assert models.refresh() == ["slow"]


def test_a_directory_that_is_away_for_one_look_is_not_dropped(zoo: Path, settings: Settings) -> None:
    models = open_models(zoo, settings)
    os.rename(zoo / "toy", zoo / ".toy")
    assert models.refresh() == []
    os.rename(zoo / ".toy", zoo / "toy")
    assert look_twice(models) == []
    assert isinstance(models.show("toy").model, Model)


def test_a_bundle_that_changes_while_it_is_opened_is_looked_at_again(
    zoo: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = open_models(zoo, settings)
    before = digest(models, "toy")
    replace(zoo, "toy", seed=7)
    models.refresh()

    def open_slowly(folder: Path, settings: Settings, cache: StateCache) -> Model | Unavailable:
        model = open_model(folder, settings, cache)
        replace(zoo, "toy", seed=8)
        return model

    with monkeypatch.context() as patch:
        patch.setattr("server.models.open_model", open_slowly)
        assert models.refresh() == []
    assert digest(models, "toy") == before
    assert look_twice(models) == ["toy"]
    assert digest(models, "toy") == open_bundle(zoo / "toy").digest


def test_a_broken_replacement_leaves_the_old_one_serving_and_says_so(zoo: Path, settings: Settings) -> None:
    models = open_models(zoo, settings)
    before = digest(models, "toy")
    damage(zoo, "toy")
    assert look_twice(models) == []
    assert digest(models, "toy") == before
    assert str(models.show("toy").warning).startswith(
        "The bundle that replaced this one is refused: weights.bin has SHA-256"
    )
    mended = replace(zoo, "toy", seed=7)
    assert look_twice(models) == ["toy"]
    assert digest(models, "toy") == mended
    assert models.show("toy").warning is None


def test_a_broken_new_bundle_disables_only_itself_until_it_is_mended(zoo: Path, settings: Settings) -> None:
    models = open_models(zoo, settings)
    shutil.copytree(zoo / "toy", zoo / "broken")
    damage(zoo, "broken")
    assert look_twice(models) == ["broken"]
    broken = models.show("broken").model
    assert isinstance(broken, Unavailable)
    assert broken.reason.startswith("weights.bin has SHA-256")
    assert isinstance(models.show("toy").model, Model)
    damage(zoo, "broken")  # flips the same bit back
    assert look_twice(models) == ["broken"]
    assert isinstance(models.show("broken").model, Model)


def test_a_bundle_that_verifies_and_cannot_be_run_is_refused_with_the_reason(zoo: Path, settings: Settings) -> None:
    (zoo / "toy" / "decoder.onnx").write_bytes(b"no graph")
    document = json.loads((zoo / "toy" / "manifest.json").read_text())
    files = {name: file.model_dump() for name, file in describe_files(zoo / "toy").items()}
    (zoo / "toy" / "manifest.json").write_text(json.dumps(document | {"files": files}))
    model = open_models(zoo, settings).show("toy").model
    assert isinstance(model, Unavailable)
    assert "decoder.onnx cannot be loaded" in model.reason


# --- versions -------------------------------------------------------------------------------------------------------


def test_a_name_means_its_newest_version_and_each_has_an_address(zoo: Path, settings: Settings) -> None:
    second = replace(zoo, "toy@2", seed=2)
    models = open_models(zoo, settings)
    assert [shown.id for shown in models.shown()] == ["toy"]
    assert models.show("toy").versions == (1, 2)
    assert digest(models, "toy") == digest(models, "toy@2") == second != digest(models, "toy@1")
    tenth = replace(zoo, "toy@10", seed=10)
    assert look_twice(models) == ["toy@10"]
    assert digest(models, "toy") == tenth
    shutil.rmtree(zoo / "toy@10")
    look_twice(models)
    assert digest(models, "toy") == second


def test_a_broken_new_version_leaves_the_one_before_serving_and_says_so(zoo: Path, settings: Settings) -> None:
    replace(zoo, "toy@2", seed=2)
    damage(zoo, "toy@2")
    models = open_models(zoo, settings)
    assert models.show("toy").model == models.show("toy@1").model
    assert str(models.show("toy").warning).startswith("Version 2 is refused: weights.bin has SHA-256")
    assert models.show("toy@1").warning is None
    assert isinstance(models.show("toy@2").model, Unavailable)


def test_a_model_has_the_same_name_in_every_version(zoo: Path, settings: Settings) -> None:
    replace(zoo, "toy@2", seed=2)
    models = open_models(zoo, settings)
    assert {models.show(id).model.id for id in ("toy", "toy@1", "toy@2")} == {"toy"}


def test_a_directory_whose_version_is_no_number_is_shown_with_the_reason(zoo: Path, settings: Settings) -> None:
    write_toy(zoo / "toy@new", seed=3)
    models = open_models(zoo, settings)
    refused = models.show("toy@new").model
    assert isinstance(refused, Unavailable)
    assert "number from 1" in refused.reason
    assert models.show("toy").versions == (1,)
