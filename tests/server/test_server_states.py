"""What is remembered stays within its bytes, and what was used last stays longest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.states import StateCache, together


def rows(*values: float) -> dict[str, np.ndarray]:
    """4 bytes a row."""
    return {"state": np.array(values, np.float32)[:, None]}


def test_a_row_is_found_by_the_first_of_its_keys_that_is_known() -> None:
    cache = StateCache(100)
    cache.put([b"a", b"b"], rows(1, 2))
    found = cache.first([b"x", b"b", b"a"])
    assert found is not None
    index, (block, row) = found
    assert (index, block.arrays["state"][row]) == (1, 2)
    assert cache.first([b"x"]) is None


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 5)), max_size=40), st.integers(0, 60))
def test_never_more_bytes_than_allowed_and_the_newest_is_there(puts: list[tuple[int, int]], max_bytes: int) -> None:
    cache = StateCache(max_bytes)
    for first, count in puts:
        keys = [bytes([first + i]) for i in range(count)]
        new = [key for key in keys if not cache.first([key])]
        cache.put(keys, rows(*range(first, first + count)))
        assert cache.nbytes <= max_bytes
        assert 4 * count > max_bytes or all(cache.first([key]) for key in new)
    held = {id(found[1][0]): found[1][0] for key in range(40) if (found := cache.first([bytes([key])]))}
    assert sum(block.nbytes for block in held.values()) <= cache.nbytes


def test_what_was_used_is_kept_longer_than_what_was_not() -> None:
    cache = StateCache(8)
    cache.put([b"old"], rows(1))
    cache.put([b"new"], rows(2))
    assert cache.first([b"old"])
    cache.put([b"newest"], rows(3))
    assert cache.first([b"old"])
    assert cache.first([b"new"]) is None


def test_nobody_writes_into_what_is_remembered() -> None:
    cache, arrays = StateCache(100), rows(1, 2)
    cache.put([b"a", b"b"], arrays)
    with pytest.raises(ValueError, match="read-only"):
        arrays["state"][0] = 3


def test_all_rows_or_none() -> None:
    cache = StateCache(100)
    cache.put([b"a", b"b"], rows(1, 2))
    found = cache.all_of([b"b", b"a"])
    assert found is not None
    np.testing.assert_array_equal(found["state"], [[2], [1]])
    assert cache.all_of([b"a", b"c"]) is None
    assert cache.all_of([]) is None


def test_a_forgotten_block_takes_no_key_of_another_with_it() -> None:
    cache = StateCache(12)
    cache.put([b"a"], rows(1))
    cache.put([b"a", b"b"], rows(1, 2))
    cache.put([b"c"], rows(3))
    assert cache.first([b"b"])
    assert cache.nbytes <= 12


def test_rows_of_several_blocks_come_together_in_the_order_asked_for() -> None:
    cache = StateCache(100)
    cache.put([b"a", b"b"], rows(1, 2))
    cache.put([b"c"], rows(3))
    places = [found[1] for key in (b"c", b"b", b"a") if (found := cache.first([key]))]
    np.testing.assert_array_equal(together(places)["state"], [[3], [2], [1]])
    whole = together([found[1] for key in (b"a", b"b") if (found := cache.first([key]))])
    assert whole["state"] is places[1][0].arrays["state"]
