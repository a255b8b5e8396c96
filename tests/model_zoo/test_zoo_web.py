"""The web is https, and http only where nobody listens in; a token goes to nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from bundle_site import Site, serve
from tiny_bundle import write_bundle

from model_zoo.bundle import open_bundle
from model_zoo.fetch import Progress
from model_zoo.manifest import File
from model_zoo.place import PlaceError
from model_zoo.web import Web


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "site").mkdir()
    with serve(tmp_path / "site") as site:
        yield site


def silent(name: str, file: File) -> Progress:
    return lambda done: None


@pytest.mark.parametrize("address", ["http://example.org/tiny", "http://127.0.0.1.example.org/tiny"])
def test_plain_http_to_elsewhere_is_refused(address: str) -> None:
    with pytest.raises(PlaceError, match="use https"):
        Web(address)


@pytest.mark.parametrize(
    "address", ["https://me:secret@example.org/tiny", "https://example.org/tiny?a=b", "https:///tiny"]
)
def test_an_address_has_a_host_and_a_path_alone(address: str) -> None:
    with pytest.raises(PlaceError, match="a host and a path"):
        Web(address)


def test_the_name_is_the_last_part_of_the_address() -> None:
    assert Web("https://example.org/zoo/vdvae-mnist%402/").name == "vdvae-mnist@2"


def test_a_redirect_to_plain_http_is_not_followed(site: Site) -> None:
    site.redirect = "http://example.org/manifest.json"
    with pytest.raises(PlaceError, match=r"redirects to http://example\.org/manifest\.json, which is not https"):
        Web(f"{site.url}/tiny").read_manifest(100)


def test_a_token_goes_to_the_host_and_not_to_where_it_redirects(site: Site, tmp_path: Path) -> None:
    (tmp_path / "other" / "tiny").mkdir(parents=True)
    (tmp_path / "other" / "tiny" / "manifest.json").write_text("{}")
    with serve(tmp_path / "other") as other:
        site.redirect = f"{other.url}/tiny/manifest.json"
        assert Web(f"{site.url}/tiny", token="secret").read_manifest(100) == b"{}"
        assert site.tokens == ["Bearer secret"]
        assert other.tokens == [None]


def test_a_push_sends_every_file_and_the_manifest_last(site: Site, tmp_path: Path) -> None:
    write_bundle(tmp_path / "tiny")
    bundle = open_bundle(tmp_path / "tiny")
    site.takes = True
    Web(f"{site.url}/tiny@2", token="secret").push(bundle, silent)
    assert open_bundle(site.root / "tiny@2").digest == bundle.digest
    assert site.asked[-1] == "manifest.json"
    assert set(site.tokens) == {"Bearer secret"}


def test_a_server_that_takes_nothing_is_told_with_what_works(site: Site, tmp_path: Path) -> None:
    write_bundle(tmp_path / "tiny")
    with pytest.raises(PlaceError, match=r"not taken: .*405.*allows PUT.*push to a folder that it serves, or to hf://"):
        Web(f"{site.url}/tiny").push(open_bundle(tmp_path / "tiny"), silent)
