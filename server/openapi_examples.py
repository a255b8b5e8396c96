"""Bodies that can be pasted: one for each thing a call can do. They suit every model with levels at 1x1 and 4x4."""

from __future__ import annotations

from typing import Any

# A stroke on 8x8 pixels, as PNG.
DRAWING = "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAADhZOFXAAAAEUlEQVR4nGNgQAInTpDDAAMAUdcJYec8jO0AAAAASUVORK5CYII="
EXAMPLES: dict[str, dict[str, Any]] = {
    "Four images, a little cooler": {"source": {"seed": 1234}, "n": 4, "temperature": 0.8},
    "Roll level 3 again": {"source": {"seed": 1234}, "levels": {"3": {"draw": 1}}},
    "Cool from top to bottom": {
        "source": {"seed": 1234},
        "temperature": {"schedule": "linear", "from": 1.0, "to": 0.4},
    },
    "The coarse levels of another image": {
        "source": {"seed": 1234},
        "edits": [{"op": "swap", "levels": "1x1", "source": {"seed": 99}, "space": "noise"}],
    },
    "One corner of level 1 drawn again, a little cooler": {
        "source": {"seed": 1234},
        "edits": [
            {
                "op": "resample",
                "levels": [1],
                "draw": 1,
                "temperature": 0.7,
                "mask": {"resolution": 4, "rows": ["1100", "1100", "0000", "0000"]},
            }
        ],
    },
    "Half the way to another image": {
        "source": {"seed": 1234},
        "edits": [{"op": "interpolate", "levels": "1x1..4x4", "source": {"seed": 99}, "alpha": 0.5, "space": "noise"}],
    },
    "A drawing of one's own, its fine levels drawn anew": {
        "source": {"image": DRAWING, "seed": 7},
        "edits": [{"op": "keep", "levels": "1x1..4x4"}],
    },
    "A test image, its coarse levels kept": {
        "source": {"example": 0, "seed": 7},
        "n": 4,
        "edits": [{"op": "keep", "levels": "1x1..4x4"}],
    },
}

INSPECTIONS: dict[str, dict[str, Any]] = {
    "What each level controls, drawn four times": {
        "kind": "ladder_grid",
        "recipe": {"source": {"seed": 1234}, "temperature": 0.9},
        "draws": 4,
    },
    "What each resolution controls, all below at its mean; change maps of 16 draws, two of them shown": {
        "kind": "ladder_grid",
        "recipe": {"source": {"example": 0}},
        "rows": "groups",
        "below": "mean",
        "draws": 16,
        "show": 2,
    },
    "Where the bits of a test image go": {"kind": "kl", "subject": {"example": 0}},
    "Where the bits of a sample go": {"kind": "kl", "subject": {"recipe": {"source": {"seed": 1234}}}},
    "How many levels a test image needs": {"kind": "progressive", "subject": {"example": 0}},
    "The same for a drawing, by resolution, the other levels drawn": {
        "kind": "progressive",
        "subject": {"image": DRAWING},
        "steps": "groups",
        "others": "sample",
        "temperature": 0.7,
    },
    "Which temperatures matter for this image": {
        "kind": "sensitivity",
        "recipe": {"source": {"seed": 1234}, "temperature": 0.8},
    },
    "Several recipes at once": {
        "kind": "gallery",
        "recipes": [
            {"source": {"seed": 1234}},
            {
                "source": {"seed": 1234},
                "edits": [{"op": "swap", "levels": "1x1", "source": {"seed": 99}, "space": "noise"}],
            },
        ],
    },
}

JOBS: dict[str, dict[str, Any]] = {
    "A hundred images, as arrays": {
        "kind": "sample",
        "model": "vdvae-mnist",
        "recipe": {"source": {"seed": 1}, "n": 100, "temperature": 0.8},
        "media_type": "application/x-npz",
    },
    "What each level controls, measured on many draws": {
        "kind": "inspect",
        "model": "vdvae-mnist",
        "inspect": {"kind": "ladder_grid", "recipe": {"source": {"seed": 1234}}, "draws": 48, "show": 5},
    },
    "From one seed to another, coarse levels first": {
        "kind": "morph",
        "model": "vdvae-mnist",
        "keyframes": [{"source": {"seed": 1234}}, {"source": {"seed": 99}, "temperature": 0.7}],
        "stagger": 0.5,
        "fps": 8,
    },
    "From one test image to another and back, as GIF": {
        "kind": "morph",
        "model": "vdvae-mnist",
        "keyframes": [{"source": {"example": 0}}, {"source": {"example": 1}}],
        "format": "gif",
        "fps": 8,
    },
}
