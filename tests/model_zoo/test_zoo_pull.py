"""A pulled bundle is whole and right, or it is not there; what came already is not asked for again."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bundle_site import Site, serve
from tiny_bundle import write_bundle

from model_zoo.bundle import Bundle, BundleError, open_bundle
from model_zoo.fetch import FetchError, Progress
from model_zoo.folder import Folder
from model_zoo.manifest import File
from model_zoo.place import PlaceError
from model_zoo.pull import pull
from model_zoo.web import Web

FILES = ["decoder.onnx", "encoder.onnx", "examples/0.png", "weights.bin"]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    write_bundle(tmp_path / "site" / "tiny", summary="theirs")
    with serve(tmp_path / "site") as site:
        yield site


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    (tmp_path / "zoo").mkdir()
    return tmp_path / "zoo"


def silent(name: str, file: File) -> Progress:
    return lambda done: None


def bring(site: Site, zoo: Path, digest: str | None = None) -> Bundle:
    return pull(Web(f"{site.url}/tiny"), zoo / "tiny", silent, digest)


def edit_manifest(site: Site, **changes: Any) -> None:
    path = site.root / "tiny" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def visible(zoo: Path) -> list[str]:
    return sorted(path.name for path in zoo.iterdir() if not path.name.startswith("."))


def test_a_bundle_comes_whole_manifest_first_and_is_verified(site: Site, zoo: Path) -> None:
    bundle = bring(site, zoo)
    assert bundle == open_bundle(zoo / "tiny")
    assert bundle.manifest.summary == "theirs"
    assert site.asked[0] == "manifest.json"
    assert sorted(site.asked[1:]) == FILES
    assert os.listdir(zoo) == ["tiny"]


def test_progress_of_each_file_ends_at_its_size(site: Site, zoo: Path) -> None:
    told: dict[str, int] = {}

    def watch(name: str, file: File) -> Progress:
        return lambda done: told.update({name: done})

    bundle = pull(Web(f"{site.url}/tiny"), zoo / "tiny", watch)
    assert told == {name: file.size for name, file in bundle.manifest.files.items()}


def test_what_is_there_and_right_is_not_fetched_again(site: Site, zoo: Path) -> None:
    bring(site, zoo)
    site.requests.clear()
    bring(site, zoo)
    assert site.asked == ["manifest.json"]


def test_of_a_new_bundle_only_the_changed_files_are_fetched(site: Site, zoo: Path, tmp_path: Path) -> None:
    bring(site, zoo)
    (site.root / "tiny" / "weights.bin").write_bytes(b"trained for longer")
    files = json.loads((site.root / "tiny" / "manifest.json").read_text())["files"]
    digest = hashlib.sha256(b"trained for longer").hexdigest()
    edit_manifest(site, files=files | {"weights.bin": {"size": 18, "sha256": digest}})
    site.requests.clear()
    assert bring(site, zoo).digest == open_bundle(site.root / "tiny").digest
    assert site.asked == ["manifest.json", "weights.bin"]
    assert (zoo / "tiny" / "weights.bin").read_bytes() == b"trained for longer"


@pytest.mark.parametrize("ranges", [True, False])
def test_an_interrupted_pull_shows_nothing_and_is_continued(site: Site, zoo: Path, ranges: bool) -> None:
    site.break_after = 250
    with pytest.raises(FetchError, match="ended after 250 of 600 bytes"):
        bring(site, zoo)
    assert visible(zoo) == []
    site.break_after, site.ranges = None, ranges
    site.requests.clear()
    bring(site, zoo)
    assert ("GET", "/tiny/decoder.onnx", "bytes=250-") in site.requests
    assert os.listdir(zoo) == ["tiny"]
    open_bundle(zoo / "tiny")


def test_an_interrupted_replacement_leaves_the_old_bundle_as_it_was(site: Site, zoo: Path) -> None:
    write_bundle(zoo / "tiny", summary="mine")
    (site.root / "tiny" / "weights.bin").write_bytes(b"another")
    files = json.loads((site.root / "tiny" / "manifest.json").read_text())["files"]
    edit_manifest(site, files=files | {"weights.bin": {"size": 7, "sha256": "0" * 64}})
    with pytest.raises(FetchError, match=r"weights\.bin gave another file: SHA-256"):
        bring(site, zoo)
    assert open_bundle(zoo / "tiny").manifest.summary == "mine"


def test_a_damaged_bundle_is_mended_by_fetching_what_is_damaged(site: Site, zoo: Path) -> None:
    bring(site, zoo)
    (zoo / "tiny" / "encoder.onnx").write_bytes(b"damaged")
    site.requests.clear()
    bring(site, zoo)
    assert site.asked == ["manifest.json", "encoder.onnx"]


def test_leftovers_of_another_version_do_not_come_along(site: Site, zoo: Path) -> None:
    (zoo / ".tiny.pull" / "examples" / "old").mkdir(parents=True)
    (zoo / ".tiny.pull" / "examples" / "old" / "9.png").write_bytes(b"of another version")
    (zoo / ".tiny.pull" / "decoder.onnx.part").write_bytes(b"not what it begins with" * 20)
    with pytest.raises(FetchError, match="gave another file"):  # the beginning was not this file's
        bring(site, zoo)
    bring(site, zoo)
    assert sorted(open_bundle(zoo / "tiny").manifest.files) == FILES
    assert os.listdir(zoo) == ["tiny"]


@pytest.mark.parametrize("claims", [599, 601, 10**15])
def test_a_length_that_is_not_the_manifests_is_refused_before_anything_is_written(
    site: Site, zoo: Path, claims: int
) -> None:
    site.claims = claims
    with pytest.raises(FetchError, match=f"offers {claims:,} bytes, and the published file has 600"):
        bring(site, zoo)
    assert not [*(zoo / ".tiny.pull").rglob("*.part")]


def test_a_body_without_length_or_end_is_read_no_further_than_the_file_is_long(site: Site, zoo: Path) -> None:
    site.chunked = True
    bring(site, zoo)
    open_bundle(zoo / "tiny")


@pytest.mark.parametrize(
    "name",
    ["../outside", "/etc/strata", "a/../../b", "examples\\..\\b", ".hidden", "manifest.json", "", "a\0b", "a//b"],
)
def test_a_name_that_leads_elsewhere_is_refused_before_anything_is_fetched(site: Site, zoo: Path, name: str) -> None:
    files = json.loads((site.root / "tiny" / "manifest.json").read_text())["files"]
    edit_manifest(site, files=files | {name: {"size": 1, "sha256": "0" * 64}})
    with pytest.raises(BundleError, match="not a plain relative path"):
        bring(site, zoo)
    assert site.asked == ["manifest.json"]
    assert os.listdir(zoo) == []


def test_a_manifest_that_is_none_is_refused(site: Site, zoo: Path) -> None:
    (site.root / "tiny" / "manifest.json").write_text("<html>Not here</html>")
    with pytest.raises(BundleError, match="Invalid JSON"):
        bring(site, zoo)


def test_a_manifest_without_end_is_not_read_to_it(site: Site, zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model_zoo.pull.MAX_MANIFEST", 100)
    with pytest.raises(PlaceError, match="longer than 100 bytes"):
        bring(site, zoo)


def test_with_a_digest_no_other_bundle_is_taken(site: Site, zoo: Path) -> None:
    digest = open_bundle(site.root / "tiny").digest
    with pytest.raises(PlaceError, match=f"has SHA-256 {digest}; expected 0000"):
        bring(site, zoo, "0" * 64)
    assert bring(site, zoo, digest).digest == digest


def test_what_cannot_fit_is_not_begun(site: Site, zoo: Path) -> None:
    files = json.loads((site.root / "tiny" / "manifest.json").read_text())["files"]
    edit_manifest(site, files=files | {"weights.bin": {"size": 10**18, "sha256": "0" * 64}})
    with pytest.raises(PlaceError, match="need 1,000,000,000,000,001,900 bytes"):
        bring(site, zoo)
    assert site.asked == ["manifest.json"]


def test_two_pulls_of_one_bundle_do_not_write_into_each_other(site: Site, zoo: Path) -> None:
    arrived, go_on = threading.Event(), threading.Event()

    class Slow(Folder):
        def fetch(self, name: str, file: File, target: Path, progress: Progress) -> None:
            arrived.set()
            assert go_on.wait(30)
            super().fetch(name, file, target, progress)

    first = threading.Thread(target=pull, args=(Slow(site.root / "tiny"), zoo / "tiny", silent))
    first.start()
    assert arrived.wait(30)
    with pytest.raises(PlaceError, match="in use by another pull"):
        bring(site, zoo)
    go_on.set()
    first.join(30)
    open_bundle(zoo / "tiny")


def test_a_missing_bundle_is_told_with_its_address(site: Site, zoo: Path) -> None:
    with pytest.raises(PlaceError, match=rf"{site.url}/nobody/manifest.json: .*404"):
        pull(Web(f"{site.url}/nobody"), zoo / "nobody", silent)
    assert os.listdir(zoo) == []


def test_a_folder_gives_a_bundle_and_takes_one(site: Site, zoo: Path) -> None:
    theirs = pull(Folder(site.root / "tiny"), zoo / "tiny", silent)
    Folder(zoo / "elsewhere" / "tiny").push(theirs, silent)
    assert open_bundle(zoo / "elsewhere" / "tiny").digest == theirs.digest
    with pytest.raises(PlaceError, match=r"has no manifest\.json"):
        pull(Folder(zoo), zoo / "other", silent)
