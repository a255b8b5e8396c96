"""A typed client of the REST API (docs/rest.md): `BlockingClient` for scripts, `Client` for asyncio.

It needs httpx, pydantic and NumPy, and nothing else of this project.
"""

from app.client.answers import (
    Answer,
    Cell,
    Encoding,
    File,
    Gallery,
    Job,
    Ladder,
    LadderRow,
    Progress,
    Progressive,
    RateMaps,
    Recipe,
    SampleImage,
    Samples,
    Sensitivity,
    Step,
)
from app.client.asynchronous import Client
from app.client.blocking import BlockingClient
from app.client.calls import read
from app.client.cards import Card, Group, ImageSize, Level, Metric, Models, Unavailable
from app.client.errors import ApiError, FieldFault

__all__ = [
    "Answer",
    "ApiError",
    "BlockingClient",
    "Card",
    "Cell",
    "Client",
    "Encoding",
    "FieldFault",
    "File",
    "Gallery",
    "Group",
    "ImageSize",
    "Job",
    "Ladder",
    "LadderRow",
    "Level",
    "Metric",
    "Models",
    "Progress",
    "Progressive",
    "RateMaps",
    "Recipe",
    "SampleImage",
    "Samples",
    "Sensitivity",
    "Step",
    "Unavailable",
    "read",
]
