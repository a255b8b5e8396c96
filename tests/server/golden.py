"""Golden hashes: three recipes for each shipped bundle, and the images that they made when they were recorded.

Recording again makes whatever the code does now look right, so it is done by hand, when a bundle is added or
replaced: `python tests/server/golden.py`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import platform
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
import onnxruntime

from model_zoo.manifest import Manifest
from model_zoo.zoo import BUNDLES
from server.answers import image_png
from server.models import Model, open_models
from server.png import Pixels
from server.recipe import Recipe
from server.resolve import Resolved, resolve
from server.sample import sample
from server.settings import Settings

GOLDEN = Path(__file__).with_name("golden.json")


def recipes(manifest: Manifest) -> dict[str, Resolved]:
    """A sample, a reconstruction with its last levels drawn, and a swap in noise space, whatever the model."""
    count = len(manifest.levels)
    documents: dict[str, dict[str, Any]] = {
        "sample": {"source": {"seed": 42}, "temperature": 0.8, "output": {"image": "sample"}},
        "reconstruction": {
            "source": {"example": 0, "seed": 1},
            "edits": [{"op": "keep", "levels": list(range(max(1, count // 2)))}],
        },
        "swap": {
            "source": {"seed": 7},
            "edits": [
                {"op": "swap", "levels": list(range(max(1, count // 3))), "source": {"seed": 99}, "space": "noise"}
            ],
        },
    }
    return {
        name: resolve(Recipe.model_validate(document), manifest, fresh_seed=lambda: 0, max_images=1)
        for name, document in documents.items()
    }


def render(model: Model, recipe: Resolved) -> tuple[Pixels, bytes]:
    """The image [H, W, C], and its PNG."""
    images = sample(model.engine, model.examples, recipe).images
    return images[0], image_png(model, recipe, images, 0)


def arithmetic() -> dict[str, str]:
    """What the last digits of floating point depend on: the instruction sets found here, and the runtime."""
    simd = np.show_config(mode="dicts")["SIMD Extensions"]
    kinds = "+".join([*simd["baseline"], *simd.get("found", [])])
    return {"processor": f"{platform.machine()} {kinds}", "onnxruntime": onnxruntime.__version__}


def record(settings: Settings) -> dict[str, Any]:
    """What `golden.json` holds: for each bundle its digest, and for each recipe the PNG and the SHA-256 of it."""
    found: dict[str, Any] = {}
    for shown in open_models(BUNDLES, settings).shown():
        id, model = shown.id, shown.model
        assert isinstance(model, Model), f"{id}: {model.reason}"
        images = {}
        for name, recipe in recipes(model.bundle.manifest).items():
            png = render(model, recipe)[1]
            images[name] = {"sha256": hashlib.sha256(png).hexdigest(), "png": base64.b64encode(png).decode()}
        found[id] = {"digest": model.bundle.digest, "images": images}
    return {"arithmetic": arithmetic(), "bundles": found}


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(record(Settings(threads=1, provider="cpu")), indent=1) + "\n", encoding="utf-8")
    print(f"wrote {GOLDEN}")
