"""A recipe survives the trip through a URL, and a hostile token costs nothing."""

from __future__ import annotations

import base64
import json
import zlib

import pytest
from conftest import Settle
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from server.permalink import MAX_TOKEN_TEXT, canonical, from_token, recipe_id, to_token
from server.recipe import MalformedError, parse


def pack(content: bytes) -> str:
    return base64.urlsafe_b64encode(zlib.compress(content)).decode()


@given(st.lists(st.floats(0, 1.5), min_size=5, max_size=5), st.integers(0, 2**53 - 1))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_token_is_the_recipe(settle: Settle, temperature: list[float], seed: int) -> None:
    recipe = settle(source={"seed": seed}, temperature=temperature)
    assert from_token(to_token(recipe)) == canonical(recipe).encode()
    assert settle(**json.loads(from_token(to_token(recipe)))) == recipe


def test_canonical_text_has_sorted_keys_and_no_spaces(settle: Settle) -> None:
    text = canonical(settle(levels={"3": {"draw": 1}}))
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))


def test_the_id_is_pinned(settle: Settle) -> None:
    """Changing it breaks every link and cache: give recipes a new version instead."""
    recipe = settle(source={"seed": 1234}, temperature=0.8)
    assert canonical(recipe) == (
        '{"edits":[],"levels":{},"n":1,"output":{"draw":0,"format":"png","image":"mean","include":[],'
        '"layout":"images","scale":1},"recipe_version":1,"source":{"seeds":[1234]},"temperature":[0.8,0.8,0.8,0.8,0.8]}'
    )
    assert recipe_id(recipe) == "d5eb855a4ff9478a163a2e7468a712944244a6834287f773198e4bf240ac5fc8"


def test_a_token_is_safe_in_a_url_and_short_for_equal_temperatures(settle: Settle) -> None:
    token = to_token(settle())
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert len(token) < 250


@pytest.mark.parametrize("token", ["", "!", "abc", "é", "AAAA", to_token(parse(b"{}"))[:-8], "a b", "a+/="])
def test_what_is_no_token_is_malformed(token: str) -> None:
    with pytest.raises(MalformedError):
        from_token(token)


def test_a_bomb_is_not_unpacked() -> None:
    assert len(from_token(pack(b" " * (MAX_TOKEN_TEXT - 1)))) == MAX_TOKEN_TEXT - 1
    with pytest.raises(MalformedError, match="too much"):
        from_token(pack(b" " * 10_000_000))


def test_a_token_of_something_else_is_no_recipe() -> None:
    with pytest.raises(MalformedError):
        parse(from_token(pack(b"\x80\x81")))
