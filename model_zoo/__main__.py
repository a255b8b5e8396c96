"""`python -m model_zoo list|show|verify|pull|push`: what is in the zoo, is it intact, and to and from elsewhere.

Exit codes: 0 all is well, 1 a bundle is broken or did not come, 2 wrong usage or no such bundle.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from model_zoo.address import place_of
from model_zoo.bundle import BundleError, open_bundle
from model_zoo.fetch import FetchError
from model_zoo.manifest import Manifest
from model_zoo.place import PlaceError
from model_zoo.progress import watch
from model_zoo.pull import pull
from model_zoo.zoo import BUNDLES, Entry, find_bundle, list_bundles, open_entry, split_id


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if options.command == "list":
        return _list(options.zoo)
    if options.command == "show":
        return _show(options.zoo, options.name)
    if options.command == "verify":
        return _verify(options.zoo, options.names)
    try:
        if options.command == "pull":
            return _pull(options.zoo, options.address, options.name, options.digest)
        return _push(options.zoo, options.name, options.address)
    except (PlaceError, FetchError, BundleError, OSError) as error:
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m model_zoo",
        description="What is in the zoo, and is it intact? Bring bundles from elsewhere, and take them there.",
        epilog="An address is that of one bundle: a folder, https://host/path/NAME, or hf://owner/repo[@revision][/path]",
    )
    zoo = argparse.ArgumentParser(add_help=False)
    zoo.add_argument("--zoo", type=Path, default=BUNDLES, help="directory of bundles (default: model_zoo/bundles)")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", parents=[zoo], help="one line a bundle")
    show = commands.add_parser("show", parents=[zoo], help="the levels, figures and origin of one bundle")
    show.add_argument("name")
    verify = commands.add_parser("verify", parents=[zoo], help="compare every file with its size and SHA-256")
    verify.add_argument("names", nargs="*", metavar="name", help="bundles to verify (default: all)")
    fetch = commands.add_parser("pull", parents=[zoo], help="bring a bundle from an address into the zoo")
    fetch.add_argument("address")
    fetch.add_argument("--name", help="what to call it here, such as NAME or NAME@2 (default: as it is called there)")
    fetch.add_argument("--digest", help="take no manifest but the one with this SHA-256")
    push = commands.add_parser("push", parents=[zoo], help="take a bundle of the zoo to an address")
    push.add_argument("name")
    push.add_argument("address")
    return parser


def _list(zoo: Path) -> int:
    entries = list_bundles(zoo, verify=False)
    if not entries:
        print(f"no bundle in {zoo}")
    for entry in entries:
        print(_row(entry))
    return int(any(entry.bundle is None for entry in entries))


def _show(zoo: Path, name: str) -> int:
    if (folder := find_bundle(zoo, name)) is None:
        return _no_such(zoo, [name])
    entry = open_entry(folder, verify=False)
    if entry.bundle is None:
        print(_row(entry))
        return 1
    print("\n".join(describe(entry.bundle.manifest)))
    return 0


def _verify(zoo: Path, names: Sequence[str]) -> int:
    folders = {name: find_bundle(zoo, name) for name in names}
    if missing := [name for name, folder in folders.items() if folder is None]:
        return _no_such(zoo, missing)
    entries = [open_entry(folder) for folder in folders.values() if folder] if names else list_bundles(zoo)
    for entry in entries:
        print(f"ok      {entry.id}" if entry.bundle else f"BROKEN  {entry.id}: {entry.reason}")
    return int(any(entry.bundle is None for entry in entries))


def _pull(zoo: Path, address: str, name: str | None, digest: str | None) -> int:
    place = place_of(address)
    id = place.name if name is None else name
    try:
        split_id(id)
    except ValueError as error:
        raise PlaceError(f"{error}; choose another with --name") from None
    if not id or id.startswith(".") or "/" in id or not id.isprintable():
        raise PlaceError(f"{id!r} cannot be the name of a bundle; choose one with --name")
    bundle = pull(place, zoo / id, watch(sys.stderr), digest)
    print(f"{id} is in {zoo}, with digest {bundle.digest}")
    return 0


def _push(zoo: Path, name: str, address: str) -> int:
    if (folder := find_bundle(zoo, name)) is None:
        return _no_such(zoo, [name])
    bundle = open_bundle(folder)
    place_of(address).push(bundle, watch(sys.stderr))
    print(f"{folder.name} is at {address}, with digest {bundle.digest}")
    return 0


def _no_such(zoo: Path, names: Sequence[str]) -> int:
    known = ", ".join(entry.id for entry in list_bundles(zoo, verify=False)) or "nothing"
    print(f"no bundle {', '.join(names)} in {zoo}; there is {known}", file=sys.stderr)
    return 2


def _row(entry: Entry) -> str:
    if entry.bundle is None:
        return f"{entry.id:24} unavailable: {entry.reason}"
    manifest = entry.bundle.manifest
    shape = f"{manifest.image.height}x{manifest.image.width}x{manifest.image.channels}"
    levels = f"{len(manifest.levels)} levels"
    size = sum(file.size for file in manifest.files.values()) / 1e6
    return f"{entry.id:24} {manifest.family:8} {shape:11} {levels:>10} {size:8.1f} MB  {manifest.summary}".rstrip()


def describe(manifest: Manifest) -> Iterator[str]:
    """A manifest as lines for people: what it is, how good, what its levels carry, and where it came from."""
    image = manifest.image
    yield f"{manifest.name}  ({manifest.family}, {manifest.dataset or 'unnamed data set'})"
    if manifest.summary:
        yield manifest.summary
    yield ""
    yield f"image       {image.height} x {image.width} x {image.channels}, {image.bits} bits"
    yield f"likelihood  {manifest.likelihood.kind}"
    yield f"latents     {manifest.latents} in {len(manifest.levels)} levels"
    for metric in manifest.metrics:
        yield (
            f"{metric.estimator:11} {metric.nats_per_image:.2f} nats/image, {metric.bits_per_dim:.4f} bits/dim "
            f"({metric.images} images, {metric.split})" + (f"; {metric.note}" if metric.note else "")
        )
    yield f"licence     {manifest.licence}"
    yield ""
    yield "level  resolution  channels  KL nats  KL bits"
    for level in manifest.levels:
        rate = "      -        -" if level.kl_nats is None else f"{level.kl_nats:7.2f}  {level.kl_bits:7.2f}"
        yield f"{level.index:5}  {level.group:>10}  {level.channels:8}  {rate}"


if __name__ == "__main__":
    sys.exit(main())
