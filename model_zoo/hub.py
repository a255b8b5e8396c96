"""A bundle in a repository of the Hugging Face Hub: `hf://owner/repo[@revision][/path]`.

The library `huggingface_hub` (the extra `hub`) talks to it: it knows mirrors, tokens and large files, and continues
what was interrupted. It is imported when a hub address is first used, because nothing else here needs it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from model_zoo.bundle import Bundle
from model_zoo.fetch import Progress
from model_zoo.manifest import MANIFEST_NAME, File
from model_zoo.place import PlaceError, Watch

_ADDRESS = re.compile(r"hf://(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w.-]+))?(/(?P<path>[\w./@-]+))?/?")


class Client(Protocol):
    """What is used of `huggingface_hub.HfApi`."""

    def hf_hub_download(self, repo_id: str, filename: str, *, revision: str | None, local_dir: Path) -> str: ...

    def upload_folder(
        self,
        *,
        repo_id: str,
        folder_path: Path,
        path_in_repo: str | None,
        commit_message: str,
        revision: str | None,
        ignore_patterns: list[str],
    ) -> Any: ...


class Hub:
    """`client` is a `HfApi`; without one it is made here."""

    def __init__(self, address: str, client: Client | None = None) -> None:
        match = _ADDRESS.fullmatch(address)
        if match is None:
            raise PlaceError(f"{address}: a bundle on the Hub is hf://owner/repo, hf://owner/repo@revision or .../path")
        self._repo, self._revision = match["repo"], match["revision"]
        self._path = (match["path"] or "").strip("/")
        self._client = client or _client()

    @property
    def name(self) -> str:
        return (self._path or self._repo).rpartition("/")[2]

    def read_manifest(self, limit: int) -> bytes:
        with TemporaryDirectory() as folder, self._download(MANIFEST_NAME, Path(folder)).open("rb") as stream:
            return stream.read(limit)

    def fetch(self, name: str, file: File, target: Path, progress: Progress) -> None:
        os.replace(self._download(name, target.parent / ".hub"), target)
        progress(file.size)

    def push(self, bundle: Bundle, watch: Watch) -> None:
        """All files in one commit; others that the repository has are left alone."""
        try:
            self._client.upload_folder(
                repo_id=self._repo,
                folder_path=bundle.root,
                path_in_repo=self._path or None,
                commit_message=f"{bundle.manifest.name}: bundle {bundle.digest[:12]}",
                revision=self._revision,
                ignore_patterns=[".*", "*/.*"],
            )
        except Exception as error:  # the library's exceptions have no common base class
            raise PlaceError(f"could not push to {self._repo}: {error}") from error
        for name, file in bundle.manifest.files.items():
            watch(name, file)(file.size)

    def _download(self, name: str, folder: Path) -> Path:
        filename = f"{self._path}/{name}" if self._path else name
        try:
            path = self._client.hf_hub_download(self._repo, filename, revision=self._revision, local_dir=folder)
        except Exception as error:  # as above
            raise PlaceError(f"could not fetch {filename} of {self._repo}: {error}") from error
        return Path(path)


def _client() -> Client:
    try:
        from huggingface_hub import HfApi
    except ImportError:
        raise PlaceError("hf:// needs the extra `hub`: pip install 'strata[hub]'") from None
    return HfApi()
