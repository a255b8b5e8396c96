"""The choice of an image: a seed to be typed, or one of the model's test images."""

from __future__ import annotations

from app import html, recipes, words
from app.client import Card
from app.html import attribute, text
from app.mixing import Source

ARROW = '<svg viewBox="0 0 16 16" class="ic" aria-hidden="true"><path d="m5 6.5 3 3 3-3"/></svg>'


def fields(card: Card, which: str, source: Source | None, label: str, more: str = "") -> str:
    """A list and a field; the page turns what is chosen there into the intent that it has for `which`.

    `more` are further options of the list; without a source, one of those is chosen.
    """
    tests = "".join(
        f'<option value="{example.index}"{html.flag("selected", (source or {}).get("example") == example.index)}>'
        f"test image {example.index}{f' ({text(example.label)})' if example.label else ''}</option>"
        for example in card.examples
    )
    seeded = source is not None and "seed" in source
    seed = source["seed"] if source is not None and seeded else ""
    return (
        f'<label class="vh" for="source-{which}">{label}</label>'
        f'<span class="select"><select id="source-{which}" data-choose="source-{which}">'
        f'<option value="seed"{html.flag("selected", seeded)}>a seed</option>{tests}{more}</select>{ARROW}</span>'
        f'<span class="field{"" if seeded else " off"}"><label for="seed-{which}">Seed</label>'
        f'<input id="seed-{which}" type="text" title="{words.SEED}" inputmode="numeric" autocomplete="off"'
        f' value="{attribute(seed)}"'
        f' data-number="seed-{which}" data-min="0" data-max="{recipes.MAX_SEED}"></span>'
    )
