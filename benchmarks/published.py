"""Do the full published configurations fit this machine? Random weights take the whole way of a real checkpoint:
a file as the authors' training saves it, imported, exported, checked, decoded in ONNX Runtime.

`python -m benchmarks.published` writes benchmarks/results/published.{json,md}. Each step is a process of its own,
so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import datetime
import json
import resource
import sys
import time
from itertools import groupby
from pathlib import Path

import numpy as np
import torch

from benchmarks import process
from benchmarks.report import Circumstances, circumstances, table, write
from benchmarks.subjects import random_model
from benchmarks.timing import Record
from model_zoo.bundle import open_bundle
from training.__main__ import main as training
from training.export import open_session
from training.importers import nvlabs_nvae
from training.recipe import load_recipe

PARAMETERS = {  # of the authors' models, by the name of our recipe
    "vdvae-cifar10": 39_145_700,
    "vdvae-ffhq256": 114_874_852,
    "nvae-mnist": 33_363_134,
    "nvae-cifar10": 130_852_480,
}
PATIENCE_S = 3600.0
COMMAND = "python -m benchmarks.published"


class Step(Record):
    """One process: how long it took, and the most memory it held."""

    seconds: float
    peak_gib: float


class Configuration(Record):
    """One published configuration."""

    circumstances: Circumstances
    name: str
    parameters: int
    bundle_mib: float
    imported: Step
    decoded: Step


class Result(Record):
    configurations: list[Configuration]

    def lines(self) -> list[str]:
        """As Markdown: one table, then the circumstances, each with the configurations that were measured in them."""
        header = [
            "configuration",
            "parameters",
            "bundle",
            "import, export and check",
            "peak",
            "decode one image",
            "peak",
        ]
        rows = [
            [
                c.name, f"{c.parameters:,}", f"{c.bundle_mib:.0f} MiB", f"{c.imported.seconds:.0f} s",
                f"{c.imported.peak_gib:.1f} GiB", f"{c.decoded.seconds:.1f} s", f"{c.decoded.peak_gib:.1f} GiB",
            ]
            for c in self.configurations
        ]  # fmt: skip
        lines = ["# Published configurations on a CPU", "", *table(header, rows)]
        for shared, group in groupby(self.configurations, key=lambda c: c.circumstances):
            lines += ["", ", ".join(c.name for c in group) + ":", "", *shared.lines()]
        return lines


def import_step(name: str, build: Path) -> None:
    """Save random weights as published, then import that file as a user would."""
    model = random_model(load_recipe(name))
    count = sum(parameter.numel() for parameter in model.parameters())
    if count != PARAMETERS[name]:
        raise SystemExit(f"{name} has {count:,} parameters, the authors' model has {PARAMETERS[name]:,}")
    checkpoint = build / f"{name}-checkpoint"
    family, dataset = name.split("-")
    if family == "vdvae":  # names begin with "module.", as distributed training saves them
        torch.save({f"module.{key}": tensor for key, tensor in model.state_dict().items()}, checkpoint)
        command = ["import", "openai-vdvae", str(checkpoint), "--config", dataset]
    else:
        keys = nvlabs_nvae.Arguments.model_fields.keys() & type(model.config).model_fields.keys()
        arguments = {key: getattr(model.config, key) for key in keys}
        namespace = argparse.Namespace(dataset=dataset, arch_instance="res_mbconv", **arguments)
        torch.save({"state_dict": model.state_dict(), "args": namespace}, checkpoint)
        command = ["import", "nvlabs-nvae", str(checkpoint)]
    del model
    if training([*command, "--name", bundle_name(name), "--out", str(build)]):
        raise SystemExit(f"importing {name} failed")
    checkpoint.unlink()


def decode_step(name: str, build: Path) -> None:
    """One image from the prior in ONNX Runtime on the CPU; every output must be finite."""
    bundle = open_bundle(build / bundle_name(name))
    manifest = bundle.manifest
    noise = np.random.default_rng(0).standard_normal((1, manifest.latents), dtype=np.float32)
    feed = {
        "noise": noise,
        "given": np.zeros_like(noise),
        "keep": np.zeros(noise.shape, bool),
        "temperature": np.ones((1, len(manifest.levels)), np.float32),
    }
    outputs = open_session(bundle.decoder).run(None, feed)
    if not all(np.isfinite(output).all() for output in outputs):
        raise SystemExit(f"decoding {name} gave numbers that are not finite")


STEPS = {"import": import_step, "decode": decode_step}


def bundle_name(name: str) -> str:
    return f"published-{name}-random"


def run_step(step: str, name: str, build: Path) -> Step:
    outcome = process.run(["benchmarks.published", "--build", str(build), "--step", step, name], PATIENCE_S)
    if outcome.problem:
        raise SystemExit(f"{step} {name}: {outcome.problem}")
    return Step.model_validate_json(outcome.last_line)


def main() -> None:
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--build", type=Path, default=Path("build"), help="folder for the bundles (not in git)")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--only", nargs="+", choices=PARAMETERS, help="some of the configurations (default: all)")
    parser.add_argument("--step", nargs=2, metavar=("STEP", "NAME"), help="one step of one configuration")
    options = parser.parse_args()
    options.build.mkdir(parents=True, exist_ok=True)
    if options.step:
        step, name = options.step
        start = time.monotonic()
        STEPS[step](name, options.build)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # Linux counts KiB
        print(json.dumps({"seconds": round(time.monotonic() - start, 1), "peak_gib": round(peak, 2)}))
        return
    now = datetime.datetime.now().astimezone()
    here = circumstances(torch.device("cpu"), now, COMMAND + f" --only {' '.join(options.only)}" * bool(options.only))
    measured = {c.name: c for c in _measured_before(options.out)}
    for name in options.only or PARAMETERS:
        print(f"{name}: importing, exporting, checking, decoding", file=sys.stderr)
        imported, decoded = run_step("import", name, options.build), run_step("decode", name, options.build)
        size = sum(file.size for file in open_bundle(options.build / bundle_name(name)).manifest.files.values())
        measured[name] = Configuration(
            circumstances=here,
            name=name,
            parameters=PARAMETERS[name],
            bundle_mib=round(size / 2**20, 1),
            imported=imported,
            decoded=decoded,
        )
    result = Result(configurations=[measured[name] for name in PARAMETERS if name in measured])
    write(options.out, "published", result, result.lines())
    print("\n".join(result.lines()))


def _measured_before(folder: Path) -> list[Configuration]:
    """The configurations of the last result: those that this run leaves out stay as they are."""
    file = folder / "published.json"
    return Result.model_validate_json(file.read_bytes()).configurations if file.exists() else []


if __name__ == "__main__":
    main()
