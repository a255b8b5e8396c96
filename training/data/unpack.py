"""From the archives that data sets are published in to the files that the readers read."""

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path

import numpy as np
from numpy.lib import format as npy_format
from PIL import Image

from training.data.images import DataError


def files_of_tar(archive: Path, folder: Path) -> None:
    """Writes the regular files of `archive` into `folder`, by their bare names, so none can land elsewhere."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            if content is None:
                continue
            target = folder / Path(member.name).name
            part = target.with_name(target.name + ".part")
            with content, part.open("wb") as out:
                shutil.copyfileobj(content, out)
            os.replace(part, target)


def pictures_to_npy(archive: Path, target: Path) -> None:
    """Decodes the PNG pictures of a tar, all of one size, into one array [n, H, W, 3], in the order of their names.

    (The published conversion took them in the order in which the file system listed them, which nobody can repeat;
    so the published held-out images of ImageNet-32 and -64 are not known, only how many there were.)
    """
    if target.exists():
        return
    with tarfile.open(archive) as tar:
        members = sorted((m for m in tar if m.isfile() and m.name.endswith(".png")), key=lambda member: member.name)
    if not members:
        raise DataError(f"{archive} holds no .png pictures.")
    rank = {member.name: k for k, member in enumerate(members)}
    part = target.with_name(target.name + ".part")
    images = None
    with tarfile.open(archive) as tar:
        for member in tar:  # in the order of the archive: seeking back and forth in 12 GB takes for ever
            content = tar.extractfile(member) if member.name in rank else None
            if content is None:
                continue
            with content, Image.open(content) as picture:
                pixels = np.asarray(picture.convert("RGB"))
            if images is None:
                images = npy_format.open_memmap(part, "w+", np.uint8, (len(members), *pixels.shape))
            if pixels.shape != images.shape[1:]:
                raise DataError(f"{archive}: {member.name} is {pixels.shape}, and the first was {images.shape[1:]}.")
            images[rank[member.name]] = pixels
    assert images is not None
    images.flush()
    os.replace(part, target)
