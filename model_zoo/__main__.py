"""`python -m model_zoo list|show|verify`: what is in the zoo, and is it intact?

Exit codes: 0 all is well, 1 a bundle is broken, 2 wrong usage or no such bundle.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from model_zoo.manifest import Manifest
from model_zoo.zoo import BUNDLES, Entry, list_bundles, open_entry


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if options.command == "list":
        return _list(options.zoo)
    if options.command == "show":
        return _show(options.zoo, options.name)
    return _verify(options.zoo, options.names)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m model_zoo", description="What is in the zoo, and is it intact?")
    zoo = argparse.ArgumentParser(add_help=False)
    zoo.add_argument("--zoo", type=Path, default=BUNDLES, help="directory of bundles (default: model_zoo/bundles)")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", parents=[zoo], help="one line a bundle")
    show = commands.add_parser("show", parents=[zoo], help="the levels, figures and origin of one bundle")
    show.add_argument("name")
    verify = commands.add_parser("verify", parents=[zoo], help="compare every file with its size and SHA-256")
    verify.add_argument("names", nargs="*", metavar="name", help="bundles to verify (default: all)")
    return parser


def _list(zoo: Path) -> int:
    entries = list_bundles(zoo, verify=False)
    if not entries:
        print(f"no bundle in {zoo}")
    for entry in entries:
        print(_row(entry))
    return int(any(entry.bundle is None for entry in entries))


def _show(zoo: Path, name: str) -> int:
    if not (zoo / name).is_dir():
        return _no_such(zoo, [name])
    entry = open_entry(zoo / name, verify=False)
    if entry.bundle is None:
        print(_row(entry))
        return 1
    print("\n".join(describe(entry.bundle.manifest)))
    return 0


def _verify(zoo: Path, names: Sequence[str]) -> int:
    if missing := [name for name in names if not (zoo / name).is_dir()]:
        return _no_such(zoo, missing)
    entries = [open_entry(zoo / name) for name in names] if names else list_bundles(zoo)
    for entry in entries:
        print(f"ok      {entry.id}" if entry.bundle else f"BROKEN  {entry.id}: {entry.reason}")
    return int(any(entry.bundle is None for entry in entries))


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
