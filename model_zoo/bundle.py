"""A bundle on disk: one directory with a manifest, two graphs, their weights and a few example images.

Training writes a bundle with `describe_files`, `write_manifest` and `publish`; everybody else opens it with
`open_bundle`, which trusts no file whose size or SHA-256 is not the one in the manifest. A bundle appears under
its final name complete or not at all, because readers may look at any moment.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from model_zoo.manifest import DECODER_NAME, ENCODER_NAME, MANIFEST_NAME, File, Manifest


class BundleError(Exception):
    """A bundle that cannot be trusted. `problems` has one sentence a fault, each naming the file at fault."""

    def __init__(self, root: Path, problems: Iterable[str]) -> None:
        self.root = root
        self.problems = tuple(problems)
        super().__init__(f"bundle {root.name!r} refused: " + "; ".join(self.problems))


@dataclass(frozen=True)
class Bundle:
    """An opened bundle. `digest` is the SHA-256 of manifest.json, which in turn pins every other file."""

    root: Path
    manifest: Manifest
    digest: str

    @property
    def decoder(self) -> Path:
        return self.root / DECODER_NAME

    @property
    def encoder(self) -> Path:
        return self.root / ENCODER_NAME

    def example(self, index: int) -> Path:
        """The PNG of one example image. Raises IndexError when there is no such example."""
        if not 0 <= index < len(self.manifest.examples):
            raise IndexError(f"example {index} does not exist; there are {len(self.manifest.examples)}")
        return self.root / self.manifest.examples[index].file


def describe_file(path: Path) -> File:
    """Size and SHA-256 of one file, read in chunks."""
    with path.open("rb") as stream:
        return File(size=path.stat().st_size, sha256=hashlib.file_digest(stream, "sha256").hexdigest())


def describe_files(directory: Path) -> dict[str, File]:
    """Size and SHA-256 of every file of a bundle directory, for `Manifest.files`.

    Names are relative with forward slashes. The manifest itself and hidden files are left out.
    """
    return {name: describe_file(directory / name) for name in _files(directory)}


def write_manifest(directory: Path, manifest: Manifest) -> Path:
    """Write manifest.json: indented, so that people can read it and version control can compare it."""
    path = directory / MANIFEST_NAME
    path.write_text(manifest.model_dump_json(indent=2, exclude_none=True) + "\n", encoding="utf-8")
    return path


def load_manifest(directory: Path) -> Manifest:
    """Read and check manifest.json alone, without looking at the other files. Raises BundleError."""
    return parse_manifest(directory, _read(directory))


def parse_manifest(directory: Path, content: bytes) -> Manifest:
    """The manifest of the bundle in (or meant for) `directory`, from its text. Raises BundleError.

    No name of a file that it lists leads out of the directory, or is one that a bundle may not have.
    """
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError as error:
        problems = [
            f"{MANIFEST_NAME}: {'.'.join(map(str, fault['loc'])) or 'the document'}: {fault['msg']}"
            for fault in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise BundleError(directory, problems) from None
    if unfit := [name for name in manifest.files if not _is_plain(name)]:
        raise BundleError(directory, [f"{name!r} is not a plain relative path inside the bundle" for name in unfit])
    return manifest


def open_bundle(directory: Path, verify: bool = True) -> Bundle:
    """Open a bundle and check its files against the manifest.

    `verify=False` compares names and sizes only; `verify=True` also reads every file and compares its SHA-256.
    Raises BundleError, which lists every fault found.
    """
    content = _read(directory)
    manifest = parse_manifest(directory, content)
    if problems := [*_compare(directory, manifest, verify)]:
        raise BundleError(directory, problems)
    return Bundle(directory, manifest, hashlib.sha256(content).hexdigest())


def publish(temporary: Path, final: Path) -> Bundle:
    """Verify the bundle written in `temporary`, then move it to `final` by renaming, replacing what was there.

    Both must be on one file system: write `temporary` beside `final`, under a name that starts with a dot.
    Raises BundleError, leaving `final` as it was, when the new bundle does not verify.
    """
    bundle = open_bundle(temporary)
    final.parent.mkdir(parents=True, exist_ok=True)
    replaced = final.with_name(f".{final.name}.{secrets.token_hex(4)}.old")
    if final.exists():
        os.rename(final, replaced)
    try:
        os.rename(temporary, final)
    except OSError:
        if replaced.exists():
            os.rename(replaced, final)
        raise
    if replaced.exists():
        shutil.rmtree(replaced)
    return Bundle(final, bundle.manifest, bundle.digest)


def _read(directory: Path) -> bytes:
    try:
        return (directory / MANIFEST_NAME).read_bytes()
    except FileNotFoundError:
        where = "has no" if directory.is_dir() else "is not a directory, so it has no"
        raise BundleError(directory, [f"{directory} {where} {MANIFEST_NAME}"]) from None
    except OSError as error:
        raise BundleError(directory, [f"{MANIFEST_NAME} cannot be read: {error.strerror}"]) from None


def _compare(directory: Path, manifest: Manifest, digests: bool) -> Iterable[str]:
    present = set(_files(directory))
    for name in sorted(present - manifest.files.keys()):
        yield f"{name} is not listed in {MANIFEST_NAME}"
    for name, expected in manifest.files.items():
        if name not in present:
            yield f"{name} is missing; expected {expected.size} bytes"
        elif (size := (directory / name).stat().st_size) != expected.size:
            yield f"{name} has {size} bytes; expected {expected.size}"
        elif digests and (actual := describe_file(directory / name)) != expected:
            yield f"{name} has SHA-256 {actual.sha256}; expected {expected.sha256}"


def _files(directory: Path) -> list[str]:
    """Relative names of all files, sorted; hidden ones and the manifest left out. Links to elsewhere do not count."""
    names = []
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory)
        hidden = any(part.startswith(".") for part in name.parts)
        if path.is_file() and not path.is_symlink() and not hidden and name.as_posix() != MANIFEST_NAME:
            names.append(name.as_posix())
    return names


def _is_plain(name: str) -> bool:
    path = PurePosixPath(name)
    plain = path.as_posix() == name and "\\" not in name and name.isprintable()
    hidden = any(part.startswith(".") for part in path.parts)  # `..` among them
    return plain and not hidden and not path.is_absolute() and name != MANIFEST_NAME
