"""Who may ask: bearer tokens (RFC 6750), of which the server knows SHA-256 hashes only.

A token is 256 random bits, so that its hash needs neither salt nor stretching. It is made by
`python -m server new-token`, which prints the token, for whoever asks, and its hash, for the server.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from server.problems import Problem, answer_problem

ALWAYS_OPEN = {"/healthz", "/readyz"}
_HASH = re.compile(r"[0-9a-f]{64}")


class TokenError(ValueError):
    """Something where the hash of a token should be."""


@dataclass(frozen=True)
class Tokens:
    """The hashes of the tokens that are good, and who has each."""

    names: dict[str, str]

    @classmethod
    def parse(cls, lines: Iterable[str]) -> Tokens:
        """From lines of `HASH [NAME]`; empty ones and what follows a # are skipped. Raises TokenError."""
        names: dict[str, str] = {}
        for number, line in enumerate(lines, 1):
            words = line.split("#")[0].split()
            if not words:
                continue
            if len(words) > 2 or not _HASH.fullmatch(words[0].lower()):
                raise TokenError(f"token {number} is no SHA-256 in 64 hexadecimal digits, with or without a name")
            names[words[0].lower()] = words[1] if len(words) == 2 else f"token {words[0][:8]}"
        return cls(names)

    def owner(self, token: str) -> str | None:
        """Who has this token. Every hash is compared, in constant time, so that the time taken tells nothing."""
        given = token_hash(token)
        found = [name for known, name in self.names.items() if hmac.compare_digest(known, given)]
        return found[0] if found else None


def new_token() -> str:
    """256 random bits, as text."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


class Authentication:
    """Lets through whoever has a token, and everybody where there are none; says who it is in `state.client`."""

    def __init__(self, app: ASGIApp, tokens: Tokens, also_open: frozenset[str] = frozenset()) -> None:
        self.app, self.tokens, self.open = app, tokens, ALWAYS_OPEN | also_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope["state"]["client"] = scope["client"][0] if scope.get("client") else ""
        if self.tokens.names and scope["path"] not in self.open:
            scheme, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
            owner = self.tokens.owner(token.strip()) if scheme.lower() == "bearer" else None
            if owner is None:
                await answer_problem(_refusal(bool(token)), scope, receive, send)
                return
            scope["state"]["client"] = owner
        await self.app(scope, receive, send)


def _refusal(given: bool) -> Problem:
    detail = "This token is not known" if given else "Send Authorization: Bearer TOKEN"
    challenge = 'Bearer realm="strata"' + (', error="invalid_token"' if given else "")
    return Problem("unauthorised", detail, headers={"WWW-Authenticate": challenge})
