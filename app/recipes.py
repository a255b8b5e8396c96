"""Pure functions on recipes, the JSON objects that describe images (docs/rest.md).

A recipe here always has every key, with temperatures as a list of one number a level and levels by number, as the
server resolves it; except that consecutive seeds stay `{"seed": first}` and `n`, which is what the screen edits.
No function changes its argument.
"""

from __future__ import annotations

import base64
import copy
import json
import zlib
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from app.client import Card, Recipe
from app.temperature import Temperatures

MAX_SEED = 2**53 - 1
FIRST_SEED = 1240
FIRST_IMAGES = 4


def first(card: Card) -> Recipe:
    """What the explorer opens with: some images from the prior at the model's own temperature."""
    return {
        "recipe_version": 1,
        "source": {"seed": FIRST_SEED},
        "n": min(FIRST_IMAGES, card.limits.max_images),
        "temperature": [card.temperature.default] * len(card.levels),
        "levels": {},
        "edits": [],
        "output": {"image": "mean"},
    }


def from_resolved(resolved: Recipe) -> Recipe:
    """The server's resolved recipe as the screen edits it; drawing it again gives the same images."""
    recipe = copy.deepcopy(resolved)
    recipe["n"] = count(resolved)
    recipe["output"] = {key: resolved["output"][key] for key in ("image", "draw") if key in resolved["output"]}
    seeds = resolved["source"].get("seeds")
    if seeds and list(seeds) == list(range(seeds[0], seeds[0] + len(seeds))):
        recipe["source"] = {"seed": seeds[0]}
    return recipe


def to_token(recipe: Recipe) -> str:
    """The recipe for `?r=`: base64url, without padding, of zlib-compressed JSON.

    Answers carry the canonical token; this one serves while there is no answer, so that a link loses nothing.
    """
    text = json.dumps(recipe, sort_keys=True, separators=(",", ":"))
    return base64.urlsafe_b64encode(zlib.compress(text.encode(), 9)).rstrip(b"=").decode()


def count(recipe: Recipe) -> int:
    """n, the number of images."""
    return recipe.get("n") or len(recipe["source"].get("seeds", [0]))


def seed(recipe: Recipe, image: int = 0) -> int:
    """The seed of image `image`."""
    source = recipe["source"]
    return source["seeds"][image] if "seeds" in source else source.get("seed", 0) + image


def temperature(recipe: Recipe) -> Temperatures:
    return tuple(recipe["temperature"])


def draw(recipe: Recipe, level: int) -> int:
    """How often a level was drawn again."""
    return int(recipe["levels"].get(str(level), {}).get("draw", 0))


def with_seed(recipe: Recipe, value: int) -> Recipe:
    """Another first seed: other images, so their draws start again. A test image stays the source it is."""
    value = min(max(value, 0), MAX_SEED - count(recipe) + 1)
    source = {**recipe["source"], "seed": value} if "example" in recipe["source"] else {"seed": value}
    levels = {key: rest for key, change in recipe["levels"].items() if (rest := _without_draw(change))}
    return {**recipe, "source": source, "levels": levels}


def page(recipe: Recipe, pages: int) -> Recipe:
    """The next (or previous) `pages` times n seeds, drawn the same way."""
    value = min(max(seed(recipe) + pages * count(recipe), 0), MAX_SEED - count(recipe) + 1)
    source = {**recipe["source"], "seed": value} if "example" in recipe["source"] else {"seed": value}
    return {**recipe, "source": source}


def with_images(recipe: Recipe, n: int) -> Recipe:
    """n images from the same first seed. Other images of an edit follow with the first one's."""
    source = recipe["source"]
    if "seeds" in source:
        source = {"seed": seed(recipe)}
    return {**recipe, "n": n, "source": source, "edits": [_for_image(edit, 0) for edit in recipe["edits"]]}


def with_temperature(recipe: Recipe, values: Sequence[float]) -> Recipe:
    return {**recipe, "temperature": list(values)}


def with_output(recipe: Recipe, image: str) -> Recipe:
    return {**recipe, "output": {**recipe["output"], "image": image}}


def with_draw(recipe: Recipe, levels: Iterable[int], value: int) -> Recipe:
    """These levels with draw `value`, and nothing else changed."""
    changes = dict(recipe["levels"])
    for level in levels:
        change = _without_draw(changes.pop(str(level), {}))
        if value:
            change["draw"] = value
        if change:
            changes[str(level)] = change
    return {**recipe, "levels": changes}


def below(card: Card, level: int, locks: Collection[int] = ()) -> tuple[int, ...]:
    """The levels finer than `level` that are free to be drawn again."""
    return tuple(other.index for other in card.levels if other.index > level and other.index not in locks)


def held(recipe: Recipe) -> frozenset[int]:
    """Levels that an edit takes from elsewhere or keeps, so that drawing them again would change nothing."""
    named = {level for edit in recipe["edits"] for level in edit["levels"]}
    if "example" in recipe["source"] and not any(edit["op"] == "keep" for edit in recipe["edits"]):
        return frozenset(range(len(recipe["temperature"])))  # a reconstruction keeps everything
    return frozenset(named)


def single(recipe: Recipe, image: int) -> Recipe:
    """The recipe of one of the n images alone."""
    source = recipe["source"]
    one = {**source, "seed": seed(recipe, image)} if "example" in source else {"seed": seed(recipe, image)}
    return {**recipe, "n": 1, "source": one, "edits": [_for_image(edit, image) for edit in recipe["edits"]]}


def drawn_again(card: Card, recipe: Recipe, rows: Sequence[Sequence[int]], draws: int) -> dict[str, Any]:
    """The question what drawing each row of levels again does to the one image of `recipe`, in numbers only.

    The levels below keep their noise and adapt; the latents of a test image that are 0 or 1 do not tell theirs, so
    they take their mean. Of the mean image, so that only the latents move.
    """
    no_noise = card.prior == "bernoulli" and "example" in recipe["source"]
    return {
        "kind": "ladder_grid",
        "recipe": with_output(recipe, "mean"),
        "rows": [list(levels) for levels in rows],
        "draws": draws,
        "show": 0,
        "below": "mean" if no_noise else "noise",
    }


def as_draws(resolved: Recipe) -> Recipe:
    """A resolved recipe as the screen edits it, with its `resample` edits as draws and temperatures of the levels.

    That is the same image, of which dice, strips and rail can go on. Where anything else is edited, or a level twice,
    the edits stay.
    """
    recipe = from_resolved(resolved)
    edits = recipe["edits"]
    named = [level for edit in edits for level in edit["levels"]]
    plain = all(edit["op"] == "resample" and not edit.keys() & {"mask", "temperature"} for edit in edits)
    if "seed" not in recipe["source"] or len(recipe["source"]) > 1 or not plain or len(named) > len(set(named)):
        return recipe
    recipe["edits"] = []
    for edit in edits:
        if edit.get("mode") == "mean":  # the mean of a prior is what it gives at temperature 0
            cold = set(edit["levels"])
            recipe = with_temperature(recipe, [0.0 if i in cold else t for i, t in enumerate(recipe["temperature"])])
        else:
            recipe = with_draw(recipe, edit["levels"], edit["draw"])
    return recipe


def _without_draw(change: dict[str, Any]) -> dict[str, Any]:
    """What is left of a level's change apart from its draw; "sample" is the mode that goes without saying."""
    return {key: value for key, value in change.items() if key != "draw" and (key, value) != ("mode", "sample")}


def _for_image(edit: dict[str, Any], image: int) -> dict[str, Any]:
    seeds = edit.get("source", {}).get("seeds")
    return {**edit, "source": {"seed": seeds[image]}} if seeds else edit
