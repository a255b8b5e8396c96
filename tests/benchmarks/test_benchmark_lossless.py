"""Bits per dimension of image files: against a count by hand."""

import io

import numpy as np
import pytest
from PIL import Image

from benchmarks.lossless import FORMATS, bits_per_dim


def test_a_file_counts_with_its_header_and_all_images_count_alike() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 1), np.uint8)
    sizes = []
    for image in noise:
        file = io.BytesIO()
        Image.fromarray(image[..., 0]).save(file, "PNG", optimize=True)
        sizes.append(len(file.getvalue()))
    assert bits_per_dim(noise, **FORMATS["PNG"]) == pytest.approx(8 * sum(sizes) / (3 * 16 * 16))


@pytest.mark.parametrize("name", FORMATS)
def test_noise_takes_all_its_bits_and_a_flat_image_next_to_none(name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    assert 8 <= bits_per_dim(noise, **FORMATS[name]) < 8.5
    assert bits_per_dim(np.full((2, 64, 64, 3), 7, np.uint8), **FORMATS[name]) < 0.2


@pytest.mark.parametrize("name", FORMATS)
def test_the_formats_lose_nothing(name: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(image).save(file, **FORMATS[name])
    assert (np.asarray(Image.open(file)) == image).all()
