"""A folder of pictures: any size and mode in, squares out, and nothing is left out in silence."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.data import folder
from training.data.images import DataError

Save = Callable[[str, Image.Image], Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    def save(name: str, picture: Image.Image) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
        return path

    return save


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode_gives_the_same_grey(save: Save, mode: str, channels: int) -> None:
    if mode == "I;16":
        picture = Image.fromarray(np.full((9, 9), 65535, np.uint16))
    else:
        picture = Image.new("RGB", (9, 9), "white").convert(mode)
    path = save("a.tiff", picture)
    np.testing.assert_array_equal(folder.decode(path, 4, channels), np.full((4, 4, channels), 255))


def test_the_middle_square_is_kept(save: Save) -> None:
    wide = np.zeros((8, 24), np.uint8)
    wide[:, 8:16] = 200
    assert (folder.decode(save("wide.png", Image.fromarray(wide)), 8, 1) == 200).all()
    assert (folder.decode(save("tall.png", Image.fromarray(wide.T.copy())), 8, 1) == 200).all()


def test_transparent_parts_are_white(save: Save) -> None:
    assert (folder.decode(save("clear.png", Image.new("RGBA", (8, 8), (9, 9, 9, 0))), 8, 3) == 255).all()


def test_pictures_are_turned_upright(tmp_path: Path) -> None:
    pixels = np.zeros((8, 8), np.uint8)
    pixels[0] = 255  # a white line on top, in a picture that says: turn me by 180 degrees
    picture = Image.fromarray(pixels)
    exif = picture.getexif()
    exif[0x0112] = 3
    picture.save(tmp_path / "turned.png", exif=exif)
    assert (folder.decode(tmp_path / "turned.png", 8, 1)[-1] == 255).all()


def test_what_was_skipped_is_reported_with_the_reason(save: Save, tmp_path: Path) -> None:
    for k in range(3):
        save(f"{k}.png", Image.new("RGB", (8 + k, 9), "red"))
    (tmp_path / "1.png").write_bytes((tmp_path / "1.png").read_bytes()[:50])
    (tmp_path / "notes.txt").write_text("not a picture")
    save("depth.tiff", Image.fromarray(np.zeros((8, 8), np.float32)))
    (tmp_path / ".DS_Store").write_bytes(b"hidden files are nobody's pictures")
    found = folder.read(tmp_path, 8, 3)
    assert found.images.shape == (2, 8, 8, 3)
    assert dict(found.skipped) == {
        "1.png": "truncated or damaged",
        "notes.txt": "no picture that Pillow can read",
        "depth.tiff": "32-bit values, whose black and white are unknown",
    }
    assert found.report.startswith("skipped 3 files\n")
    assert "truncated or damaged: 1 (1.png)" in found.report


def test_nothing_skipped_is_nothing_to_report(save: Save, tmp_path: Path) -> None:
    save("a.png", Image.new("L", (8, 8)))
    assert folder.read(tmp_path, 8, 1).report == ""


def test_order_is_that_of_the_paths_and_subfolders_are_labels(save: Save, tmp_path: Path) -> None:
    for name, value in [("dog/b.png", 2), ("cat/z.png", 1), ("dog/a/c.png", 3)]:
        save(name, Image.new("L", (4, 4), value))
    found = folder.read(tmp_path, 4, 1)
    assert found.images[:][:, 0, 0, 0].tolist() == [1, 3, 2]
    assert found.labels is not None
    assert found.labels.tolist() == [0, 1, 1]
    assert found.label_names == ("cat", "dog")


def test_pictures_beside_subfolders_have_no_labels(save: Save, tmp_path: Path) -> None:
    for name in ("a.png", "cat/b.png", "dog/c.png"):
        save(name, Image.new("L", (4, 4)))
    assert folder.read(tmp_path, 4, 1).labels is None


def test_big_folders_are_decoded_when_asked_for(save: Save, tmp_path: Path) -> None:
    for k in range(5):
        save(f"{k}.png", Image.new("L", (6, 6), 10 * k))
    (tmp_path / "notes.txt").write_text("not a picture")
    lazy, eager = folder.read(tmp_path, 4, 1, eager=0), folder.read(tmp_path, 4, 1)
    assert isinstance(lazy.images, folder.Pictures)
    assert lazy.images.shape == eager.images.shape
    assert lazy.skipped == eager.skipped
    chosen = np.array([4, 0, 4])
    np.testing.assert_array_equal(lazy.images[chosen], eager.images[chosen])
    np.testing.assert_array_equal(lazy.images[1:3], eager.images[1:3])


def test_damage_found_late_names_the_file(save: Save, tmp_path: Path) -> None:
    path = save("a.png", Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32)).astype(np.uint8)))
    path.write_bytes(path.read_bytes()[:-100])
    lazy = folder.read(tmp_path, 4, 1, eager=0)
    with pytest.raises(DataError, match=r"a\.png cannot be decoded"):
        lazy.images[:]


def test_folder_without_pictures_or_none_at_all(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No folder .*absent"):
        folder.read(tmp_path / "absent", 8, 3)
    (tmp_path / "notes.txt").write_text("not a picture")
    with pytest.raises(DataError, match="holds no picture that can be read: skipped 1 file"):
        folder.read(tmp_path, 8, 3)
