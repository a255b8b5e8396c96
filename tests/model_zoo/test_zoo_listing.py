"""A broken bundle is listed with its reason, in Python and on the command line; the others stay usable."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_bundle import write_bundle

from model_zoo.__main__ import main
from model_zoo.zoo import list_bundles


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    write_bundle(tmp_path / "good")
    write_bundle(tmp_path / "flipped")
    content = (tmp_path / "flipped" / "weights.bin").read_bytes()
    (tmp_path / "flipped" / "weights.bin").write_bytes(b"W" + content[1:])
    (tmp_path / ".unfinished").mkdir()
    return tmp_path


def test_listing_shows_both_and_says_what_is_wrong(zoo: Path) -> None:
    flipped, good = list_bundles(zoo)
    assert (good.id, good.reason) == ("good", None)
    assert good.bundle is not None
    assert good.bundle.manifest.name == "tiny"
    assert flipped.bundle is None
    assert str(flipped.reason).startswith("weights.bin has SHA-256")


def test_an_absent_zoo_is_an_empty_one(tmp_path: Path) -> None:
    assert list_bundles(tmp_path / "nowhere") == []


def test_verify_names_the_file_and_exits_with_1(zoo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--zoo", str(zoo)]) == 1
    broken, ok = capsys.readouterr().out.splitlines()
    assert broken.startswith("BROKEN  flipped: weights.bin has SHA-256")
    assert ok == "ok      good"
    assert main(["verify", "--zoo", str(zoo), "good"]) == 0


def test_list_prints_a_line_a_bundle(zoo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--zoo", str(zoo)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["flipped", "good"]


def test_show_prints_the_levels(zoo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "--zoo", str(zoo), "good"]) == 0
    text = capsys.readouterr().out
    assert "image       2 x 2 x 1, 8 bits" in text
    assert text.splitlines()[-1].split() == ["0", "1x1", "2", "-", "-"]


@pytest.mark.parametrize("command", ["show", "verify"])
def test_an_unknown_bundle_exits_with_2_and_names_the_known_ones(
    zoo: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert main([command, "--zoo", str(zoo), "vdvae"]) == 2
    assert "no bundle vdvae" in capsys.readouterr().err
