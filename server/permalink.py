"""A resolved recipe as canonical text, as an id, and as the token of a permalink (`?r=`)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import zlib
from collections.abc import Iterable

from server.recipe import MalformedError, Recipe

MAX_TOKEN_TEXT = 1 << 20  # bytes of JSON that a token may unpack to; it may have an image in it


def canonical(recipe: Recipe) -> str:
    """JSON with sorted keys, no spaces, ASCII only: equal recipes give equal text."""
    document = recipe.model_dump(mode="json", by_alias=True)
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)


def canonical_list(recipes: Iterable[Recipe]) -> str:
    """Several recipes as one JSON list."""
    return "[" + ",".join(canonical(recipe) for recipe in recipes) + "]"


def recipe_id(recipe: Recipe) -> str:
    """SHA-256 of the canonical text, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical(recipe).encode()).hexdigest()


def to_token(recipe: Recipe) -> str:
    """The recipe for a URL: base64url, without padding, of the zlib-compressed canonical text."""
    return base64.urlsafe_b64encode(zlib.compress(canonical(recipe).encode(), 9)).rstrip(b"=").decode()


def from_token(token: str) -> bytes:
    """The JSON text in a token. Raises MalformedError; stops unpacking at MAX_TOKEN_TEXT bytes."""
    try:
        packed = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(packed, MAX_TOKEN_TEXT)
    except (UnicodeEncodeError, binascii.Error, zlib.error):
        raise MalformedError("The token is not base64url of zlib-compressed JSON") from None
    if not unpacker.eof:
        what = "unpacks to too much text" if len(text) == MAX_TOKEN_TEXT else "is cut short"
        raise MalformedError(f"The token {what}")
    return text
