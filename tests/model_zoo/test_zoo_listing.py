"""A broken bundle is listed with its reason, in Python and on the command line; the others stay usable."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_bundle import write_bundle

from model_zoo.__main__ import main
from model_zoo.zoo import find_bundle, list_bundles, split_id


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


# --- versions -------------------------------------------------------------------------------------------------------


def test_a_name_alone_is_the_first_version() -> None:
    assert split_id("vdvae-mnist") == ("vdvae-mnist", 1)
    assert split_id("vdvae-mnist@12") == ("vdvae-mnist", 12)


def test_a_name_means_its_newest_version_by_number(tmp_path: Path) -> None:
    for id in ("tiny", "tiny@2", "tiny@10", "other@3"):
        write_bundle(tmp_path / id)
    found = {id: find_bundle(tmp_path, id) for id in ("tiny", "tiny@1", "tiny@2", "other", "other@1", "none")}
    assert {id: folder and folder.name for id, folder in found.items()} == {
        "tiny": "tiny@10",
        "tiny@1": "tiny",
        "tiny@2": "tiny@2",
        "other": "other@3",
        "other@1": None,
        "none": None,
    }


@pytest.mark.parametrize("id", ["tiny@", "tiny@new", "tiny@0", "tiny@02", "tiny@-1"])
def test_a_version_that_is_no_number_is_refused_by_name(tmp_path: Path, id: str) -> None:
    write_bundle(tmp_path / id)
    [entry] = list_bundles(tmp_path)
    assert entry.bundle is None
    assert str(entry.reason).startswith(f"{id!r} has no version that is a number from 1")


# --- to and from elsewhere ------------------------------------------------------------------------------------------


def test_push_and_pull_by_the_command_line(zoo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = tmp_path / "there" / "moved@2"
    assert main(["push", "--zoo", str(zoo), "good", str(there)]) == 0
    assert main(["pull", "--zoo", str(zoo), str(there)]) == 0
    told = capsys.readouterr()
    assert told.out.splitlines()[-1].startswith(f"moved@2 is in {zoo}, with digest ")
    assert "weights.bin  1 of 1 kB" in told.err
    assert main(["verify", "--zoo", str(zoo), "moved"]) == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["push", "flipped", "elsewhere"], "weights.bin has SHA-256"),
        (["pull", "nowhere"], "nowhere has no manifest.json"),
        (["pull", "ftp://example.org/tiny"], "hf://owner/repo"),
        (["pull", "http://example.org/tiny"], "use https"),
        (["pull", "https://example.org/tiny@new"], "choose another with --name"),
        (["pull", "https://example.org/"], "choose one with --name"),
        (["pull", "nowhere", "--name", "../outside"], "cannot be the name of a bundle"),
    ],
)
def test_what_cannot_be_moved_is_told(
    zoo: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    assert main([*arguments, "--zoo", str(zoo)]) == 1
    assert complaint in capsys.readouterr().err
