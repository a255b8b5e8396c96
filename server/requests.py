"""What every route does with a request before it knows what it is about: media types, bodies, versions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from server.answers import MEDIA_TYPES, negotiate
from server.problems import Problem


class Direct(APIRoute):
    """A route whose function reads its request itself, so FastAPI describes it and does nothing else.

    Its parameters are those of its path, as text, and `request`.
    """

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        async def handle(request: Request) -> Response:
            response: Response = await self.endpoint(request=request, **request.path_params)
            return response

        return handle


def accepted(request: Request, offers: tuple[str, ...] = MEDIA_TYPES) -> str:
    """The media type to answer with. Raises Problem where none that is made is accepted."""
    media_type = negotiate(request.headers.get("accept"), offers)
    if media_type is None:
        raise Problem("not-acceptable", f"This can be made: {', '.join(offers)}")
    return media_type


def sent_type(request: Request, known: tuple[str, ...]) -> str:
    """The media type of the body. Raises Problem where it is none of `known`."""
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type not in known:
        raise Problem("unsupported-media-type", f"Send {' or '.join(known)}", headers={"Accept-Post": ", ".join(known)})
    return media_type


async def read_body(request: Request, limit: int) -> bytes:
    """The body, refused as soon as it is longer than `limit` bytes, whatever its header promised."""
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > limit:
            raise Problem("too-large", f"A body of this kind may have {limit} bytes")
    return bytes(content)


def matches(if_none_match: str | None, etag: str) -> bool:
    """Whether the client has this version already (RFC 9110, section 13.1.2: weak comparison)."""
    tags = [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]
    return etag in tags or tags == ["*"]
