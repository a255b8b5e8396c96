"""A recipe says what it means or is refused, with a pointer to each wrong field."""

from __future__ import annotations

import pytest

from server.recipe import MalformedError, RecipeError, parse, pointer


def pointers(text: str) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        parse(text.encode())
    return [fault.pointer for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("temperature", "where"),
    [
        ("NaN", "#/temperature"),
        ("Infinity", "#/temperature"),
        ("1e999", "#/temperature"),
        ("-1", "#/temperature"),
        ("1.6", "#/temperature"),
        ("true", "#/temperature"),
        ('"0.7"', "#/temperature"),
        ("[1, 0.5, NaN]", "#/temperature/2"),
        ("[1, true]", "#/temperature/1"),
        ('{"8x8": -0.1}', "#/temperature/8x8"),
        ('{"schedule": "linear", "from": -1, "to": 1}', "#/temperature/from"),
        ('{"schedule": "linear", "from": 1}', "#/temperature/to"),
        ('{"schedule": "cosine", "from": 1, "to": 1}', "#/temperature/schedule"),
    ],
)
def test_a_temperature_is_a_finite_number_from_0_to_the_limit(temperature: str, where: str) -> None:
    assert pointers(f'{{"temperature": {temperature}}}') == [where]


@pytest.mark.parametrize("number", ["true", '"7"', "7.0", "7.5", "-1", str(2**53), "null"])
def test_a_seed_is_an_integer_that_every_json_reader_keeps(number: str) -> None:
    assert pointers(f'{{"source": {{"seed": {number}}}}}') == ["#/source/seed"]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('{"tempreture": 1}', "#/tempreture"),
        ('{"recipe_version": 2}', "#/recipe_version"),
        ('{"recipe_version": true}', "#/recipe_version"),
        ('{"n": 0}', "#/n"),
        ('{"source": {}}', "#/source"),
        ('{"source": {"seeds": []}}', "#/source/seeds"),
        ('{"source": {"seed": 1, "sed": 2}}', "#/source/sed"),
        ('{"levels": {"3": {"draw": -1}}}', "#/levels/3/draw"),
        ('{"levels": {"3": {"mode": "median"}}}', "#/levels/3/mode"),
        ('{"edits": [{"op": "keep", "levels": 3}]}', "#/edits/0/levels"),
        ('{"edits": [{"op": "keep", "levels": []}]}', "#/edits/0/levels"),
        ('{"edits": [{"op": "keep", "levels": [0, true]}]}', "#/edits/0/levels/1"),
        ('{"edits": [{"op": "melt"}]}', "#/edits/0"),
        ('{"edits": [{"op": "swap", "levels": [0], "source": {"seed": 1}, "space": "eps"}]}', "#/edits/0/space"),
        ('{"edits": [{"op": "swap", "levels": [0], "source": {"example": 1, "seed": 1}}]}', "#/edits/0/source/seed"),
        ('{"source": {"image": ""}}', "#/source/image"),
        ('{"source": {"latents": "abc"}}', "#/source/latents"),
        ('{"edits": [{"op": "swap", "levels": [0], "source": {"image": "AA==", "seed": 1}}]}', "#/edits/0/source/seed"),
        ('{"edits": [{"op": "interpolate", "levels": [0], "source": {"seed": 1}}]}', "#/edits/0/alpha"),
        ('{"edits": [{"op": "interpolate", "levels": [0], "source": {"seed": 1}, "alpha": 1.1}]}', "#/edits/0/alpha"),
        ('{"edits": [{"op": "resample", "levels": [0], "temperature": NaN}]}', "#/edits/0/temperature"),
        ('{"edits": [{"op": "resample", "levels": [0], "mode": "max"}]}', "#/edits/0/mode"),
        ('{"edits": [{"op": "keep", "levels": [0], "mask": {"resolution": 2, "rows": ["01"]}}]}', "#/edits/0/mask"),
        ('{"edits": [{"op": "keep", "levels": [0], "mask": {"resolution": 1, "rows": ["01"]}}]}', "#/edits/0/mask"),
        (
            '{"edits": [{"op": "keep", "levels": [0], "mask": {"resolution": 1, "rows": ["2"]}}]}',
            "#/edits/0/mask/rows/0",
        ),
        (
            '{"edits": [{"op": "keep", "levels": [0], "mask": {"resolution": 0, "rows": []}}]}',
            "#/edits/0/mask/resolution",
        ),
        ('{"output": {"scale": 33}}', "#/output/scale"),
        ('{"output": {"include": ["pixels"]}}', "#/output/include/0"),
        ("[]", "#"),
    ],
)
def test_a_wrong_field_is_pointed_at(text: str, where: str) -> None:
    assert pointers(text) == [where]


def test_all_wrong_fields_are_reported_at_once() -> None:
    assert pointers('{"n": 0, "temperature": -1, "levels": {"a": 1}}') == ["#/n", "#/temperature", "#/levels/a"]


@pytest.mark.parametrize(
    "text", ["", "{", "{'n': 1}", '{"n": 1} x', "[" * 100_000, "\ud800".encode("utf-8", "surrogatepass")]
)
def test_what_is_not_json_is_malformed(text: str | bytes) -> None:
    with pytest.raises(MalformedError):
        parse(text if isinstance(text, bytes) else text.encode())


def test_an_empty_recipe_is_one_image_at_temperature_1() -> None:
    recipe = parse(b"{}")
    assert (recipe.source, recipe.n, recipe.temperature, recipe.edits) == (None, None, 1.0, ())


def test_a_pointer_escapes_what_its_syntax_uses() -> None:
    assert pointer(("levels", "a/b~c %", "<list>", 0)) == "#/levels/a~1b~0c%20%25/0"
