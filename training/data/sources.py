"""Where the public data sets are, and what their files must be.

Where the digests come from: the publishers of MNIST, Fashion-MNIST and CIFAR-10 print MD5, which is easy to forge, so
pinned here are the SHA-256 of the files with those MD5. Those of ImageNet-32 and -64 are from the registry of
TensorFlow Datasets. FFHQ-256 has no published digest; its size follows from its shape.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from training.data import unpack


@dataclass(frozen=True)
class File:
    """One published file: where it goes below the data root, what it must be, and its addresses, best first."""

    path: str
    size: int
    sha256: str | None
    urls: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """A data set that can be fetched or, where it has no files, only be described."""

    name: str
    files: tuple[File, ...]
    finish: Callable[[Path], None] = lambda root: None  # turns the files below `root` into what the readers read
    note: str = ""


def how_to_get(name: str, root: Path) -> str:
    """What to do about missing files of the data set that cards call `name`; empty where nothing is known."""
    source = SOURCES.get(name.lower().replace(" ", "-"))
    if source is None:
        return ""
    command = f"Get it with: python -m training.data.download {source.name} --root {root}" if source.files else ""
    return " ".join(part for part in (command, source.note) if part)


def _listed(folder: str, bases: tuple[str, ...], table: str) -> tuple[File, ...]:
    """Files of one folder from lines of size, SHA-256 and name."""
    rows = [line.split() for line in table.strip().splitlines()]
    return tuple(
        File(f"{folder}/{name}", int(size), sha256, tuple(base + name for base in bases)) for size, sha256, name in rows
    )


def _imagenet(side: int, table: str) -> Source:
    def finish(root: Path) -> None:
        for split in ("train", "valid"):
            tar = root / "downloads" / f"{split}_{side}x{side}.tar"
            unpack.pictures_to_npy(tar, root / f"imagenet{side}-{split}.npy")

    return Source(
        f"imagenet-{side}",
        _listed("downloads", ("http://image-net.org/small/",), table),
        finish,
        f"(This is the ImageNet-{side} of van den Oord et al., 2016, which the published likelihoods are about. The "
        "newer one at image-net.org is anti-aliased and easier to model: figures on it do not compare. The address of "
        "the old one is down at times; archives from elsewhere are checked too, once they lie in downloads/.)",
    )


MNIST = Source(
    "mnist",
    _listed(
        "mnist",
        ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
        """
        9912422 440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609 train-images-idx3-ubyte.gz
        28881   3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c train-labels-idx1-ubyte.gz
        1648877 8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6 t10k-images-idx3-ubyte.gz
        4542    f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6 t10k-labels-idx1-ubyte.gz
        """,
    ),
)

FASHION_MNIST = Source(
    "fashion-mnist",
    _listed(
        "fashion-mnist",
        (
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        ),
        """
        26421880 3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84 train-images-idx3-ubyte.gz
        29515    a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845 train-labels-idx1-ubyte.gz
        4422102  346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073 t10k-images-idx3-ubyte.gz
        5148     67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5 t10k-labels-idx1-ubyte.gz
        """,
    ),
    note="(On Debian, apt-get install dataset-fashion-mnist puts the same images into "
    "/usr/share/datasets/fashion-mnist, to be given as data.path.)",
)

CIFAR_10 = Source(
    "cifar-10",
    _listed(
        "downloads",
        ("https://www.cs.toronto.edu/~kriz/",),
        "170052171 c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd cifar-10-binary.tar.gz",
    ),
    lambda root: unpack.files_of_tar(root / "downloads" / "cifar-10-binary.tar.gz", root / "cifar-10-batches-bin"),
)

IMAGENET_32 = _imagenet(
    32,
    """
    4113018880 244a323d48f8d72f65ad8b54658c01fed68d2d7bdc77ccb43da58c11e94224e5 train_32x32.tar
    161474560  862e559462b24cf736212a19f6b0d47b55c2dc8ebdaa95ccecfe71260124c8f7 valid_32x32.tar
    """,
)

IMAGENET_64 = _imagenet(
    64,
    """
    12112588800 e2a2c1947a748d0d256e98e6d82800d855441dc9e4de2e71a773f1324c4524d7 train_64x64.tar
    477255680   eeac03ec4f585baf871d2b4cb9c974bfe345e74878a74e5820fe6eb1041629cd valid_64x64.tar
    """,
)

FFHQ_256 = Source(
    "ffhq-256",
    (
        File(
            "ffhq-256.npy",
            128 + 70_000 * 256 * 256 * 3,  # the header of a .npy file, and 70,000 images
            None,
            ("https://openaipublic.blob.core.windows.net/very-deep-vaes-assets/vdvae-assets/ffhq-256.npy",),
        ),
    ),
    note="(FFHQ is under CC BY-NC-SA 4.0: https://github.com/NVlabs/ffhq-dataset.)",
)

FFHQ_1024 = Source(
    "ffhq-1024",
    (),
    note="Fetch images1024x1024 with the script at https://github.com/NVlabs/ffhq-dataset (CC BY-NC-SA 4.0), then move "
    "00000.png to 64999.png into ffhq1024/train and 65000.png to 69999.png into ffhq1024/valid.",
)

SOURCES = {
    source.name: source for source in (MNIST, FASHION_MNIST, CIFAR_10, IMAGENET_32, IMAGENET_64, FFHQ_256, FFHQ_1024)
}
