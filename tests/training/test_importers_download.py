"""Published checkpoints are fetched as far as their authors let programs fetch them, from a server of our own here."""

from __future__ import annotations

import hashlib
import http.server
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from training.__main__ import main
from training.importers import openai_vdvae
from training.importers.download import OPENAI_VDVAE, Checkpoint, fetch_checkpoint, find
from training.importers.weights import WeightsError

CONTENT = bytes(range(256)) * 1000
NOBODY = "http://127.0.0.1:9"  # the discard port: nothing listens


@dataclass
class Site:
    """A server of one file, /model-ema.th, and how it misbehaves."""

    url: str = ""
    says_length: bool = True
    sends: int | None = None  # bytes of the body before the connection ends
    ranges: tuple[str, ...] = ()  # asked for


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(0)

        def do_GET(self) -> None:
            asked = self.headers.get("Range", "")
            site.ranges += (asked,)
            start = int(asked.removeprefix("bytes=").rstrip("-") or 0)
            if self.answer(start):
                self.wfile.write(CONTENT[start:][: site.sends])

        def answer(self, start: int) -> bool:
            if self.path != "/model-ema.th":
                self.send_error(404)
                return False
            self.send_response(206 if start else 200)
            if site.says_length:
                self.send_header("Content-Length", str(len(CONTENT) - start))
            self.end_headers()
            return True

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        site.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield site
        server.shutdown()


def fetch(url: str, folder: Path) -> tuple[Path, list[int]]:
    """The file, and the progress told on the way."""
    told: list[int] = []
    return fetch_checkpoint(Checkpoint("cifar10", url), folder, lambda file: told.append), told


def test_a_checkpoint_is_fetched_under_its_published_name(site: Site, tmp_path: Path) -> None:
    path, told = fetch(f"{site.url}/model-ema.th", tmp_path / "new")
    assert path == tmp_path / "new" / "model-ema.th"
    assert path.read_bytes() == CONTENT
    assert told[-1] == len(CONTENT)


def test_an_interrupted_download_is_continued_where_it_stopped(site: Site, tmp_path: Path) -> None:
    site.sends = 100_000
    with pytest.raises(WeightsError, match=r"ended after 100,000 of 256,000 bytes.*The same command continues"):
        fetch(f"{site.url}/model-ema.th", tmp_path)
    assert not (tmp_path / "model-ema.th").exists()
    site.sends = None
    path, told = fetch(f"{site.url}/model-ema.th", tmp_path)
    assert path.read_bytes() == CONTENT
    assert site.ranges == ("", "bytes=100000-")
    assert told[0] == 100_000


def test_what_is_there_already_needs_no_network(tmp_path: Path) -> None:
    (tmp_path / "model-ema.th").write_bytes(CONTENT)
    assert fetch(f"{NOBODY}/model-ema.th", tmp_path)[0].read_bytes() == CONTENT


def test_a_file_that_is_gone_is_told_with_its_address(site: Site, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=rf"{re.escape(site.url)}/gone.th: .*404"):
        fetch(f"{site.url}/gone.th", tmp_path)
    assert not list(tmp_path.iterdir())


def test_without_a_length_nothing_is_fetched(site: Site, tmp_path: Path) -> None:
    site.says_length = False
    with pytest.raises(WeightsError, match="does not say how long it is"):
        fetch(f"{site.url}/model-ema.th", tmp_path)
    assert not site.ranges


def test_without_internet_the_address_is_told(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=f"could not fetch {NOBODY}/model-ema.th"):
        fetch(f"{NOBODY}/model-ema.th", tmp_path)


def test_every_published_vdvae_has_a_name() -> None:
    assert {checkpoint.config for checkpoint in OPENAI_VDVAE.values()} == set(openai_vdvae.NAMES)
    assert OPENAI_VDVAE["cifar10-seed1"].file == "cifar10-seed1-iter-1050000-model-ema.th"
    assert find("openai-vdvae", "ffhq256").url == (
        "https://openaipublic.blob.core.windows.net/very-deep-vaes-assets/vdvae-assets/"
        "ffhq256-iter-1700000-model-ema.th"
    )


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(WeightsError, match="no 'cifar10'; there are cifar10-seed0, .*ffhq1024"):
        find("openai-vdvae", "cifar10")


def test_a_person_is_told_where_nvaes_checkpoints_are() -> None:
    with pytest.raises(WeightsError, match=r"drive\.google\.com/drive/folders/.*github\.com/NVlabs/NVAE"):
        find("nvlabs-nvae", "celeba64")


def test_the_command_fetches_says_the_digest_and_imports(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(OPENAI_VDVAE, "toy", Checkpoint("cifar10", f"{site.url}/model-ema.th"))
    command = ["import", "openai-vdvae", "--download", "toy", "--name", "toy", "--checkpoints", str(tmp_path)]
    assert main(command) == 1  # it is no checkpoint
    told = capsys.readouterr()
    assert hashlib.sha256(CONTENT).hexdigest() in told.out
    assert "model-ema.th is damaged" in told.err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["openai-vdvae", "--download", "ffhq"], "publishes no 'ffhq'"),
        (["openai-vdvae", "ffhq256", "--config", "ffhq256"], "no file ffhq256"),
        (["nvlabs-nvae", "--download", "mnist"], "drive.google.com"),
    ],
)
def test_wrong_use_is_told(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", *arguments, "--name", "toy"]) == 1
    assert complaint in capsys.readouterr().err
