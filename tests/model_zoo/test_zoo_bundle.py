"""A bundle is trusted only when every file is the one that its manifest describes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_bundle import write_bundle

from model_zoo.bundle import BundleError, load_manifest, open_bundle, publish


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    write_bundle(tmp_path / "tiny")
    return tmp_path / "tiny"


def problems(directory: Path, verify: bool = True) -> str:
    with pytest.raises(BundleError) as caught:
        open_bundle(directory, verify)
    return "; ".join(caught.value.problems)


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    manifest = write_bundle(tmp_path / "tiny")
    assert load_manifest(tmp_path / "tiny") == manifest
    assert open_bundle(tmp_path / "tiny").manifest == manifest
    assert set(manifest.files) == {"decoder.onnx", "encoder.onnx", "weights.bin", "examples/0.png"}


def test_one_flipped_byte_names_the_file_and_both_digests(bundle: Path) -> None:
    expected = load_manifest(bundle).files["weights.bin"].sha256
    content = bytearray((bundle / "weights.bin").read_bytes())
    content[7] ^= 1
    (bundle / "weights.bin").write_bytes(content)
    reason = problems(bundle)
    assert reason.startswith("weights.bin has SHA-256 ")
    assert reason.endswith(f"expected {expected}")
    open_bundle(bundle, verify=False)  # sizes alone cannot see it


def test_a_truncated_file_is_refused_by_its_size_alone(bundle: Path) -> None:
    (bundle / "decoder.onnx").write_bytes(b"short")
    assert problems(bundle, verify=False) == "decoder.onnx has 5 bytes; expected 600"


def test_every_fault_is_reported_at_once(bundle: Path) -> None:
    (bundle / "examples/0.png").unlink()
    (bundle / "decoder.onnx").write_bytes(b"short")
    (bundle / "stray.bin").write_bytes(b"who wrote this?")
    assert problems(bundle) == (
        "stray.bin is not listed in manifest.json; decoder.onnx has 5 bytes; expected 600; "
        "examples/0.png is missing; expected 700 bytes"
    )


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "examples/../weights.bin"])
def test_a_manifest_cannot_point_outside_its_bundle(bundle: Path, name: str) -> None:
    document = json.loads((bundle / "manifest.json").read_text())
    document["files"][name] = document["files"]["weights.bin"]
    (bundle / "manifest.json").write_text(json.dumps(document))
    assert f"{name!r} is not a plain relative path" in problems(bundle)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "manifest.json: the document: Invalid JSON"),
        ('{"format_version": 2}', "manifest.json: format_version: Input should be 1"),
    ],
)
def test_a_manifest_that_cannot_be_read_says_where(bundle: Path, text: str, reason: str) -> None:
    (bundle / "manifest.json").write_text(text)
    assert reason in problems(bundle)


def test_an_unknown_manifest_key_is_refused_by_name(bundle: Path) -> None:
    document = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps({**document, "licence_text": "MIT"}))
    assert "licence_text: Extra inputs are not permitted" in problems(bundle)


def test_a_directory_without_manifest_is_no_bundle(tmp_path: Path) -> None:
    assert "has no manifest.json" in problems(tmp_path)


def test_publish_replaces_the_old_bundle_and_leaves_nothing_behind(tmp_path: Path) -> None:
    write_bundle(tmp_path / "tiny", summary="old")
    write_bundle(tmp_path / ".tiny.new", summary="new")
    published = publish(tmp_path / ".tiny.new", tmp_path / "tiny")
    assert published.root == tmp_path / "tiny"
    assert open_bundle(tmp_path / "tiny").manifest.summary == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_publish_refuses_a_damaged_bundle_and_keeps_the_old_one(tmp_path: Path) -> None:
    write_bundle(tmp_path / "tiny", summary="old")
    write_bundle(tmp_path / ".tiny.new", summary="new")
    (tmp_path / ".tiny.new" / "decoder.onnx").write_bytes(b"short")
    with pytest.raises(BundleError, match="decoder.onnx"):
        publish(tmp_path / ".tiny.new", tmp_path / "tiny")
    assert open_bundle(tmp_path / "tiny").manifest.summary == "old"
