"""Downloads against a server of our own: resumed, checked before they get their name, refused if they differ."""

from __future__ import annotations

import hashlib
import http.server
import io
import re
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.data import download as downloader
from training.data import npy
from training.data.images import DataError
from training.data.sources import SOURCES, File, Source, how_to_get
from training.data.unpack import files_of_tar, pictures_to_npy

CONTENT = np.random.default_rng(0).bytes(3_000_000)


@dataclass
class Site:
    """What the server gives, and what it was asked for."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    break_after: int | None = None  # bytes of a body, then the connection ends
    requests: list[tuple[str, str | None]] = field(default_factory=list)


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            site.requests.append((self.path, asked))
            if self.path not in site.files:
                self.send_error(404)
                return
            body = site.files[self.path]
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and site.ranges else 0
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            self.wfile.write(body[start:][: site.break_after])

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        site.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield site
        server.shutdown()


def file_at(site: Site, *paths: str) -> File:
    digest = hashlib.sha256(CONTENT).hexdigest()
    return File("toy/images.bin", len(CONTENT), digest, tuple(site.url + path for path in paths))


def fetch(file: File, root: Path) -> list[int]:
    progress: list[int] = []
    downloader.fetch(file, root, progress.append)
    return progress


def test_a_file_is_fetched_with_progress_and_only_once(site: Site, tmp_path: Path) -> None:
    site.files["/a"] = CONTENT
    progress = fetch(file_at(site, "/a"), tmp_path)
    assert (tmp_path / "toy/images.bin").read_bytes() == CONTENT
    assert progress == sorted(progress)
    assert progress[-1] == len(CONTENT)
    fetch(file_at(site, "/a"), tmp_path)
    assert len(site.requests) == 1
    assert [path.name for path in (tmp_path / "toy").iterdir()] == ["images.bin"]


@pytest.mark.parametrize("ranges", [True, False])
def test_an_interrupted_download_is_continued(site: Site, tmp_path: Path, ranges: bool) -> None:
    site.files["/a"] = CONTENT
    site.break_after = 1_200_000
    with pytest.raises(DataError, match=r"ended after 1,200,000 of 3,000,000 bytes.*\.part is kept"):
        fetch(file_at(site, "/a"), tmp_path)
    assert not (tmp_path / "toy/images.bin").exists()
    site.break_after, site.ranges = None, ranges
    progress = fetch(file_at(site, "/a"), tmp_path)
    assert (tmp_path / "toy/images.bin").read_bytes() == CONTENT
    assert site.requests[-1] == ("/a", "bytes=1200000-")
    assert progress[0] == (1_200_000 if ranges else 0)


def test_another_file_never_gets_the_name(site: Site, tmp_path: Path) -> None:
    site.files["/a"] = CONTENT[:-1] + b"!"
    with pytest.raises(DataError, match=r"gave another file: SHA-256 [0-9a-f]{64} instead of [0-9a-f]{64}"):
        fetch(file_at(site, "/a"), tmp_path)
    assert list((tmp_path / "toy").iterdir()) == []


def test_a_file_of_another_size_is_not_even_fetched(site: Site, tmp_path: Path) -> None:
    site.files["/a"] = CONTENT[:100]
    with pytest.raises(DataError, match="it offers 100 bytes, and the published file has 3,000,000"):
        fetch(file_at(site, "/a"), tmp_path)


def test_the_next_address_is_tried(site: Site, tmp_path: Path) -> None:
    site.files |= {"/wrong": CONTENT[:-1] + b"!", "/right": CONTENT}
    fetch(file_at(site, "/absent", "/wrong", "/right"), tmp_path)
    assert (tmp_path / "toy/images.bin").read_bytes() == CONTENT


def test_all_failures_are_told(site: Site, tmp_path: Path) -> None:
    nobody = "http://127.0.0.1:9"  # the discard port: nothing listens
    file = File("toy/images.bin", 3, None, (site.url + "/absent", nobody))
    with pytest.raises(DataError, match=rf"Could not fetch images\.bin.*{re.escape(site.url)}/absent: .*404.*{nobody}"):
        fetch(file, tmp_path)


def test_a_file_that_is_there_and_differs_is_left_alone(site: Site, tmp_path: Path) -> None:
    site.files["/a"] = CONTENT
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy/images.bin").write_bytes(b"mine")
    with pytest.raises(DataError, match="not the published file: 4 bytes instead of 3,000,000. Move it away"):
        fetch(file_at(site, "/a"), tmp_path)
    assert (tmp_path / "toy/images.bin").read_bytes() == b"mine"


def test_the_command_fetches_unpacks_and_tells(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site.files["/a"] = archive({"toy-batches/one.bin": b"1", "toy-batches/two.bin": b"2"})
    file = File("downloads/toy.tar.gz", len(site.files["/a"]), None, (site.url + "/a",))
    toy = Source("toy", (file,), lambda root: files_of_tar(root / "downloads/toy.tar.gz", root / "toy"))
    monkeypatch.setitem(SOURCES, "toy", toy)
    assert downloader.main(["toy", "--root", str(tmp_path)]) == 0
    assert (tmp_path / "toy/two.bin").read_bytes() == b"2"
    assert "toy is in" in capsys.readouterr().out
    del site.files["/a"]
    (tmp_path / "downloads/toy.tar.gz").unlink()
    assert downloader.main(["toy", "--root", str(tmp_path)]) == 1
    assert "Could not fetch toy.tar.gz" in capsys.readouterr().err


def test_what_no_program_can_fetch_is_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert downloader.main(["ffhq-1024", "--root", str(tmp_path)]) == 1
    assert "ffhq-1024 cannot be fetched by a program. Fetch images1024x1024 with" in capsys.readouterr().err


@pytest.mark.parametrize("source", SOURCES.values(), ids=list(SOURCES))
def test_sources_are_pinned(source: Source) -> None:
    for file in source.files:
        assert file.size > 0
        assert file.urls
        assert not Path(file.path).is_absolute()
        assert source.name == "ffhq-256" or re.fullmatch("[0-9a-f]{64}", file.sha256 or "")
    assert source.files or source.note


def test_cards_names_lead_to_the_command(tmp_path: Path) -> None:
    assert how_to_get("CIFAR-10", Path("data")) == (
        "Get it with: python -m training.data.download cifar-10 --root data"
    )
    assert how_to_get("ImageNet 32", Path("data")).startswith(
        "Get it with: python -m training.data.download imagenet-32"
    )
    assert how_to_get("My cats", Path("data")) == ""


def archive(files: dict[str, bytes], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def test_no_archive_writes_outside_its_folder(tmp_path: Path) -> None:
    (tmp_path / "evil.tar.gz").write_bytes(archive({"../../outside.bin": b"1", "/abs/olute.bin": b"2"}))
    files_of_tar(tmp_path / "evil.tar.gz", tmp_path / "in")
    assert sorted(path.name for path in (tmp_path / "in").iterdir()) == ["olute.bin", "outside.bin"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evil.tar.gz", "in"]


def png(value: int, side: int = 4) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (value, 0, 0)).save(buffer, "png")
    return buffer.getvalue()


def test_pictures_become_one_array_in_the_order_of_their_names(tmp_path: Path) -> None:
    pictures = {"train/2.png": png(2), "train/0.png": png(0), "train/readme.txt": b"", "train/1.png": png(1)}
    (tmp_path / "train.tar").write_bytes(archive(pictures, "w"))
    pictures_to_npy(tmp_path / "train.tar", tmp_path / "train.npy")
    images = npy.read(tmp_path / "train.npy").images
    assert images.shape == (3, 4, 4, 3)
    assert images[:][:, 0, 0, 0].tolist() == [0, 1, 2]


def test_pictures_of_two_sizes_make_no_array(tmp_path: Path) -> None:
    (tmp_path / "train.tar").write_bytes(archive({"0.png": png(0), "1.png": png(1, side=5)}, "w"))
    with pytest.raises(DataError, match=r"1\.png is \(5, 5, 3\), and the first was \(4, 4, 3\)"):
        pictures_to_npy(tmp_path / "train.tar", tmp_path / "train.npy")
    assert not (tmp_path / "train.npy").exists()
