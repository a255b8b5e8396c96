"""What lossless image formats take on the test images of a recipe: the yardstick of a likelihood in bits/dim.

    python -m benchmarks.lossless vdvae-fashion --data data

Every image is a file of its own, as small as Pillow makes it, header included; bits/dim are its bits divided by the
values that it holds. A model's bits/dim are those of an ideal code, which has no header and needs the model.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.data.load import load
from training.recipe import load_recipe

FORMATS: dict[str, dict[str, Any]] = {
    "PNG": {"format": "PNG", "optimize": True},
    "WebP, lossless": {"format": "WebP", "lossless": True, "quality": 100, "method": 6},
}


def bits_per_dim(images: NDArray[np.uint8], **options: Any) -> float:
    """Mean over `images` [n, H, W, C] of the size of a file in bits, by the values of an image."""
    return 8 * sum(_size(image, options) for image in images) / images.size


def _size(image: NDArray[np.uint8], options: dict[str, Any]) -> int:
    file = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(file, **options)
    return file.tell()


def main() -> None:
    parser = argparse.ArgumentParser(description="Bits per dimension of lossless image formats on a recipe's images.")
    parser.add_argument("recipe", help="whose test images: a .yaml file, or the name of a shipped one")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the data sets (default: data)")
    parser.add_argument("--images", type=int, help="only the first so many images (default: all)")
    options = parser.parse_args()
    found = load(load_recipe(options.recipe).data, "test", options.data)
    images = np.asarray(found.images[: options.images])
    print(f"{found.source}; {len(images):,} of them, each a file of its own")
    for name, how in FORMATS.items():
        print(f"{name:<16}{bits_per_dim(images, **how):.3f} bits/dim")


if __name__ == "__main__":
    main()
