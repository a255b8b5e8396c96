"""The comparison: every figure with its estimator and split, and a warning wherever two rows do not compare."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from model_zoo.bundle import load_manifest
from model_zoo.manifest import Manifest, Metric
from model_zoo.zoo import BUNDLES
from training.__main__ import main
from training.compare import Published, load_published, report

FROM_THE_PAPERS = {
    "CIFAR-10": {"Sparse Transformer": 2.80, "Flow++": 3.08, "NVAE with flows": 2.91, "VDVAE": 2.87},
    "ImageNet-32": {"Image Transformer": 3.77, "Flow++": 3.86, "NVAE with flows": 3.92, "VDVAE": 3.80},
    "ImageNet-64": {"Sparse Transformer": 3.44, "Flow++": 3.69, "VDVAE": 3.52},
    "FFHQ-256": {"NVAE with flows": 0.68, "VDVAE": 0.61},
    "FFHQ-1024": {"VDVAE": 2.42},
}


@pytest.fixture(scope="module")
def published() -> Published:
    return load_published()


def manifest(**changes: Any) -> Manifest:
    """That of the shipped model, changed: a path of keys joined by __ and its new value."""
    content = load_manifest(BUNDLES / "vdvae-mnist").model_dump(mode="json")
    for path, value in changes.items():
        *folders, key = path.split("__")
        place = content
        for folder in folders:
            place = place[folder]
        place[key] = value
    return Manifest.model_validate(content)


def metric(estimator: str = "ELBO", nats: float = 84.0) -> dict[str, Any]:
    return Metric(
        estimator=estimator, nats_per_image=nats, bits_per_dim=0.1, split="test", images=10_000
    ).model_dump()  # fmt: skip


def table(text: str) -> list[dict[str, str]]:
    """The rows of a Markdown table."""
    lines = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line[:1] == "|"]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


def compare(
    published: Published, *manifests: Manifest, every_dataset: bool = False
) -> tuple[list[dict[str, str]], str]:
    text = "\n".join(report(manifests, published, every_dataset=every_dataset))
    return table(text), text


def notes_of(row: dict[str, str], text: str) -> str:
    """The notes of a row, in full."""
    numbered = dict(re.findall(r"^(\d+)\. (.*)$", text, re.MULTILINE))
    return " ".join(numbered[number] for number in row["notes"].split(", ") if number)


@pytest.mark.parametrize("dataset", FROM_THE_PAPERS)
def test_the_published_figures_are_those_of_the_papers(published: Published, dataset: str) -> None:
    rows, _ = compare(published, every_dataset=True)
    shown = {row["model"]: float(row["bits/dim"]) for row in rows if row["data set"] == dataset}
    assert FROM_THE_PAPERS[dataset].items() <= shown.items()


def test_every_figure_is_shown_in_both_units(published: Published) -> None:
    rows, _ = compare(published, every_dataset=True)
    of = {(row["data set"], row["model"]): row for row in rows}
    assert float(of["CIFAR-10", "VDVAE"]["nats/image"].replace(",", "")) == round(2.87 * 3072 * math.log(2))
    assert float(of["MNIST", "NVAE"]["bits/dim"]) == round(78.01 / 784 / math.log(2), 3)
    assert all(row["estimator"] and row["split"] and row["source"] for row in rows)


def test_a_bundle_stands_first_among_its_data_set_only(published: Published) -> None:
    rows, _ = compare(published, manifest(metrics=[metric("ELBO"), metric("IW-100", 82.0)]))
    assert [(row["model"], row["estimator"]) for row in rows[:2]] == [
        ("vdvae-mnist", "ELBO"),
        ("vdvae-mnist", "IW-100"),
    ]
    assert {row["data set"] for row in rows} == {"MNIST"}
    assert rows[0]["images"] == "10,000"


def test_images_of_another_size_are_another_data_set(published: Published) -> None:
    small = manifest(metrics=[metric()], image__height=14, image__width=14)
    rows, text = compare(published, small)
    assert [row["data set"] for row in rows] == ["MNIST (14x14x1, 1-bit)"]
    assert "static" not in text
    rows, _ = compare(published, small.model_copy(update={"dataset": "MNIST 14x14"}))
    assert [row["data set"] for row in rows] == ["MNIST 14x14"]


def test_mnist_warns_of_its_binarisation_and_of_estimators(published: Published) -> None:
    rows, text = compare(published, manifest(metrics=[metric()]))
    for row in rows:
        assert "two data sets" in notes_of(row, text)
        assert "ELBO compares with an ELBO" in notes_of(row, text)


def test_only_notes_of_rows_that_are_shown_are_printed(published: Published) -> None:
    _, text = compare(published, manifest(metrics=[metric()]))
    assert "ImageNet" not in text
    assert "5-bit" not in text
    _, text = compare(published, every_dataset=True)
    assert all(note in text for key, note in published.notes.items() if key != "flows")


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({"likelihood": {"kind": "dmol", "mixtures": 2, "bits": 5, "edge_rule": "reference-vdvae"}}, "not normalised"),
        ({"likelihood": {"kind": "dmol", "mixtures": 2, "bits": 8, "edge_rule": "reference-nvae"}}, "255 into 254"),
        ({"provenance__recipe": {"model": {"num_nf": 1}}}, "Monte-Carlo"),
    ],
)
def test_a_bundle_is_warned_of_as_the_papers_are(published: Published, changes: dict[str, Any], warning: str) -> None:
    rows, text = compare(published, manifest(metrics=[metric()], **changes))
    assert warning in notes_of(rows[0], text)
    plain, text = compare(published, manifest(metrics=[metric()]))
    assert warning not in notes_of(plain[0], text)


def test_a_bundle_without_figures_is_named(published: Published) -> None:
    rows, text = compare(published, manifest(metrics=[]))
    assert rows == []
    assert "vdvae-mnist has no figures" in text


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"dataset": "MNSIT"}, "no data set MNSIT; there are CIFAR-10"),
        ({"bits": 2.87}, "give one of nats and bits"),
        ({"notes": ["nowhere"]}, "no note nowhere"),
        ({"estimator": "IW-0"}, "estimator"),
    ],
)
def test_a_slip_in_the_data_is_named(change: dict[str, Any], complaint: str) -> None:
    content = yaml.safe_load((Path(__file__).parents[2] / "training/published.yaml").read_text(encoding="utf-8"))
    content["figures"][0] |= change
    with pytest.raises(ValidationError, match=complaint):
        Published.model_validate(content)


def test_the_command_prints_the_table_and_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "table.md"
    assert main(["evaluate", "--compare", "--out", str(out)]) == 0
    assert capsys.readouterr().out == out.read_text(encoding="utf-8")
    assert {"vdvae-mnist", "Sparse Transformer"} <= {row["model"] for row in table(out.read_text(encoding="utf-8"))}


def test_a_bundle_is_found_by_name_and_by_folder(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("vdvae-mnist", str(BUNDLES / "vdvae-mnist")):
        assert main(["evaluate", "--compare", name]) == 0
        assert {row["data set"] for row in table(capsys.readouterr().out)} == {"MNIST"}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "give either a checkpoint to evaluate, or --compare"),
        (["run", "--compare"], "give either a checkpoint to evaluate, or --compare"),
        (
            ["--compare", "vdvae-mnits"],
            "'vdvae-mnits' refused: there is no such folder, and in the zoo there is .*vdvae",
        ),
    ],
)
def test_wrong_use_is_told(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", *arguments]) == 1
    assert re.search(complaint, capsys.readouterr().err)
