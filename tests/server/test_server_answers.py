"""The Accept header decides what is answered (RFC 9110, section 12.5.1)."""

from __future__ import annotations

import pytest

from server.answers import JSON, NPZ, PNG, negotiate


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("application/json", JSON),
        ("image/png", PNG),
        ("IMAGE/PNG", PNG),
        ("application/x-npz", NPZ),
        ("application/*", JSON),
        ("image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8", PNG),
        ("application/json;q=0.5, image/png", PNG),
        ("application/json; q=0.5 , image/png; q=0.4", JSON),
        ("*/*;q=0.1, application/json;q=0", PNG),
        ("image/png;q=high, */*", JSON),
        ("image/webp", None),
        ("image/png;q=0", None),
        ("*/*;q=nan", None),
    ],
)
def test_the_preferred_media_type_is_made(accept: str | None, media_type: str | None) -> None:
    assert negotiate(accept) == media_type
