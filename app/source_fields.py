"""The choice of an image: a seed to be typed, or one of the model's test images."""

from __future__ import annotations

import json
from typing import Any

from app import html, recipes, words
from app.client import Card
from app.html import attribute, text
from app.mixing import Source


def fields(card: Card, which: str, do: dict[str, Any], source: Source | None, label: str, more: str = "") -> str:
    """A list and a field. What is chosen there is sent as the intent `do`, with a seed, an example or, of the options
    `more`, what that is called. Without a source, one of those is chosen."""
    tests = "".join(
        f'<option value="{example.index}"{html.flag("selected", (source or {}).get("example") == example.index)}>'
        f"test image {example.index}{f' ({text(example.label)})' if example.label else ''}</option>"
        for example in card.examples
    )
    seeded = source is not None and "seed" in source
    seed = source["seed"] if source is not None and seeded else ""
    sends = f'data-source="{attribute(json.dumps(do))}"'
    return (
        f'<label class="vh" for="source-{which}">{label}</label>'
        f'<span class="select"><select id="source-{which}" {sends} data-seed="{seed or recipes.FIRST_SEED}">'
        f'<option value="seed"{html.flag("selected", seeded)}>a seed</option>{tests}{more}</select>'
        f"{html.CHEVRON}</span>"
        f'<span class="field{"" if seeded else " off"}"><label for="seed-{which}">Seed</label>'
        f'<input id="seed-{which}" type="text" title="{words.SEED}" inputmode="numeric" autocomplete="off"'
        f' value="{attribute(seed)}"'
        f' {sends} data-number="source" data-min="0" data-max="{recipes.MAX_SEED}"></span>'
    )
