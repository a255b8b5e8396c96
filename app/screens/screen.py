"""What a screen is: a tab with regions of its own, what it asks the server for, and what its links say.

`Screen` has an answer for everything but what is shown, so a screen says only what it has. Those that do not look at
Explore's image have a history by their own name (`first`), and a few things to choose that are no steps (`first_view`).
"""

from __future__ import annotations

import asyncio
import base64
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from app.client import Answer, ApiError, Card, Client, Recipe, Step
from app.intents import Intent, Upload
from app.state import FreshSeed, Session

Regions = dict[str, str]
Query = Mapping[str, str]

AT_ONCE = 2  # requests under way for what may take a moment; the image itself never waits for them
PICTURES = 12  # test images to pick from at a glance


@dataclass(frozen=True)
class Plot:
    """The place of the one plot."""

    id: str
    regions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Box:
    """Where regions are: their names, in a row or below each other, and boxes within the box."""

    id: str
    parts: tuple[str | Box | Plot, ...]
    row: bool = False
    classes: str = ""

    @property
    def regions(self) -> tuple[str, ...]:
        """The names of all regions within."""
        return tuple(name for part in self.parts for name in ((part,) if isinstance(part, str) else part.regions))


@dataclass(frozen=True)
class Shown:
    """What a screen shows at once. `answer` made the image on it, if there is one; `token` is the link's recipe,
    where that is not what the screen says without an answer; `query` is what only the answer tells of a link."""

    regions: Regions
    answer: Answer | Step | None
    token: str | None = None
    query: Query = field(default_factory=dict)


class Asking:
    """What all screens ask the server through. Holds nothing of a session."""

    def __init__(self, client: Client, cards: Mapping[str, Card] | None = None) -> None:
        self.client = client
        self.cards = cards or {}  # of all models that are ready
        self.background = asyncio.Semaphore(AT_ONCE)
        self._examples: dict[str, list[str]] = {}

    def forget(self) -> None:
        """Forget all answers: a model may have been replaced."""
        self.client.forget()
        self._examples.clear()

    async def all(self, card: Card, asked: Sequence[Recipe]) -> list[Answer]:
        """Answers to several recipes, a few at a time, so that nobody else's image waits long."""

        async def one(recipe: Recipe) -> Answer:
            async with self.background:
                return await self.client.sample(card.id, recipe)

        return list(await asyncio.gather(*(one(recipe) for recipe in asked)))

    async def picture(self, card: Card, sent: Upload) -> str:
        """An image file as the model sees it, a PNG in base64. Raises ApiError, where it is no image, too."""
        try:
            content = base64.b64decode(sent.data, validate=True)
        except ValueError:
            raise ApiError("refused", "This is no image file.") from None
        return (await self.client.encode(card.id, content, sent.media_type)).image.data

    async def examples(self, card: Card, count: int = PICTURES) -> list[str]:
        """The first of the model's test images for `<img src>`."""
        known = self._examples.setdefault(card.id, [])
        for example in card.examples[len(known) : count]:
            png = await self.client.example(card, example.index)
            known.append("data:image/png;base64," + base64.b64encode(png).decode())
        return known[:count]


class Screen(ABC):
    """One tab. The methods that take no `self` are pure, and tested so."""

    name: ClassVar[str]  # in links, and as the id of its box
    title: ClassVar[str]
    layout: ClassVar[Box]
    trouble: ClassVar[str]  # the region that says what could not be had of what must be there at once,
    later_trouble: ClassVar[str]  # and of what may take a moment
    outlives_model: ClassVar[bool] = False  # whether its history stays when another model is chosen

    def __init__(self, asking: Asking) -> None:
        self.asking = asking
        self.client = asking.client

    @classmethod
    def first(cls, card: Card) -> Any | None:
        """The first value of the screen's own history."""
        return None

    @classmethod
    def first_view(cls, card: Card) -> Any | None:
        return None

    @classmethod
    def apply(cls, session: Session, intent: Intent, card: Card, fresh_seed: FreshSeed) -> Session:
        """What the screen's own intents make of a session, on whichever screen that is."""
        return session

    @classmethod
    def query(cls, session: Session) -> dict[str, str]:
        """What a link says besides model, screen, level and recipe."""
        return {}

    @classmethod
    def restored(cls, session: Session, card: Card, query: Query) -> Session:
        """The session with what `query` said. What makes no sense there is left as it was."""
        return session

    @classmethod
    def recipe(cls, session: Session) -> Recipe:
        """What the screen's link has as its recipe, as far as it can be said without the server's answer."""
        return session.recipe

    @classmethod
    def with_recipe(cls, session: Session, card: Card, recipe: Recipe) -> Session:
        """The session with the recipe of a link."""
        return session.restarted("explore", recipe)

    def controls(self, card: Card, session: Session) -> Regions:
        """All that needs no answer, so that controls follow even while the server is busy."""
        return {}

    async def opening(self, card: Card, session: Session) -> Regions:
        """What is there while the first answer is made."""
        return {}

    async def asked(self, card: Card, session: Session, intent: Intent) -> Session:
        """What those of the screen's intents that need the server make of a session."""
        return session

    async def uploaded(self, card: Card, session: Session, intent: Intent, put: Callable[[str], Session]) -> Session:
        """An upload, as the model sees it, where `put` puts it. What is no image changes nothing, and is told."""
        if not isinstance(intent, Upload) or session.works_on != self.name:
            return session
        try:
            return put(await self.asking.picture(card, intent))
        except ApiError as error:
            return replace(session, note=error.sentence)

    @abstractmethod
    async def show(self, card: Card, session: Session) -> Shown:
        """What must be seen at once. Raises ApiError."""

    async def settle(self, card: Card, session: Session) -> AsyncIterator[Regions]:
        """What may take a moment, as it comes, once nothing moves. Raises ApiError."""
        return
        yield {}


def number(text: str | None) -> int | None:
    """A number in a link, or None where it is none."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else None
