"""Fetches published checkpoints from their authors' address, or says where a person gets them.

The authors of VDVAE publish no digests, so a file counts as fetched when it is as long as the server said; whoever
imports it prints its SHA-256, and the manifest keeps it. NVAE's files are in a Google Drive folder, which gives
programs a page for people and no file.
"""

from __future__ import annotations

import http.client
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from model_zoo.fetch import TIMEOUT, Progress
from training.data.download import bar, fetch
from training.data.images import DataError
from training.data.sources import File
from training.importers.weights import WeightsError

VDVAE_ASSETS = "https://openaipublic.blob.core.windows.net/very-deep-vaes-assets"
NVAE_FOLDER = "https://drive.google.com/drive/folders/1KVpw12AzdVjvbfEYM_6_3sxTy93wWkbe"


@dataclass(frozen=True)
class Checkpoint:
    """A published checkpoint: its address, and the configuration that its weights fit."""

    config: str
    url: str

    @property
    def file(self) -> str:
        return PurePosixPath(urlsplit(self.url).path).name


# The averaged weights, which the published figures are of (github.com/openai/vdvae, README, "Restoring saved models").
OPENAI_VDVAE = {
    name: Checkpoint(config, f"{VDVAE_ASSETS}/{folder}/{name}-iter-{steps}-model-ema.th")
    for name, config, folder, steps in (
        ("cifar10-seed0", "cifar10", "vdvae-assets-2", 900000),
        ("cifar10-seed1", "cifar10", "vdvae-assets-2", 1050000),
        ("cifar10-seed2", "cifar10", "vdvae-assets-2", 650000),
        ("cifar10-seed3", "cifar10", "vdvae-assets-2", 1050000),
        ("imagenet32", "imagenet32", "vdvae-assets", 1700000),
        ("imagenet64", "imagenet64", "vdvae-assets-2", 1600000),
        ("ffhq256", "ffhq256", "vdvae-assets", 1700000),
        ("ffhq1024", "ffhq1024", "vdvae-assets", 1700000),
    )
}


def find(publisher: str, name: str) -> Checkpoint:
    """The published checkpoint of that name. Raises WeightsError saying what there is, or where a person gets it."""
    if publisher == "nvlabs-nvae":
        raise WeightsError(
            f"no program can fetch '{name}': NVAE's checkpoints (MNIST, CIFAR-10, CelebA 64, CelebA HQ 256, FFHQ 256) "
            f"are in the Google Drive folder {NVAE_FOLDER}, from the README of https://github.com/NVlabs/NVAE. "
            "Fetch one in a browser and import the file. Their licence is non-commercial."
        )
    if name not in OPENAI_VDVAE:
        raise WeightsError(f"{publisher} publishes no '{name}'; there are {', '.join(OPENAI_VDVAE)}")
    return OPENAI_VDVAE[name]


def fetch_checkpoint(checkpoint: Checkpoint, folder: Path, progress: Callable[[File], Progress] = bar) -> Path:
    """Fetch to `folder` under the published name, continuing what an earlier try left in NAME.part.

    A file that has its name is complete, and nothing is asked of the network. Raises WeightsError saying what failed.
    """
    target = folder / checkpoint.file
    if target.exists():
        return target
    file = File(checkpoint.file, published_length(checkpoint.url), None, (checkpoint.url,))
    try:
        return fetch(file, folder, progress(file))
    except DataError as error:
        raise WeightsError(f"{error} The same command continues.") from error


def published_length(url: str) -> int:
    """Bytes of the file at `url`, without fetching it. Raises WeightsError."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=TIMEOUT) as response:
            length = response.headers.get("Content-Length")
    except (OSError, http.client.HTTPException) as error:  # URLError and timeouts among them
        raise WeightsError(f"could not fetch {url}: {error}") from error
    if not length:
        raise WeightsError(f"{url} does not say how long it is, so nobody could tell when it is complete")
    return int(length)
