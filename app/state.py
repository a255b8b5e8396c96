"""The session: what one person looks at, as a value, so that undo is a list of values.

Everything that decides an image has a history: the recipe of Explore, and what each further screen stands for.
Everything that decides only what is shown of it is a view and has none. What each intent makes of a session is said
beside the screen that it belongs to (`exploring`, `laddering`, `mixing`, ...), and joined in app/screens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, TypeVar

from app.client import Card, Recipe

STEPS = 200  # undo steps that are kept
MANY_LEVELS = 20  # from here on the groups of the rail are folded
STRIP = 8  # draws in a strip

T = TypeVar("T")
Tab = Literal["effect", "bits", "map", "rate"]  # of the inspector
FreshSeed = Callable[[], int]


@dataclass(frozen=True)
class History(Generic[T]):
    """A value with what it was before and, after an undo, what it was going to be."""

    present: T
    past: tuple[T, ...] = ()
    future: tuple[T, ...] = ()
    gesture: int | None = None

    def push(self, value: T, gesture: int | None = None) -> History[T]:
        """A new value. Values of one gesture, such as a drag, are one step; an equal value is none."""
        if value == self.present:
            return self
        if gesture is not None and gesture == self.gesture:
            return replace(self, present=value, future=())
        return History(value, (*self.past, self.present)[-STEPS:], (), gesture)

    def undo(self) -> History[T]:
        if not self.past:
            return self
        return History(self.past[-1], self.past[:-1], (self.present, *self.future))

    def redo(self) -> History[T]:
        if not self.future:
            return self
        return History(self.future[0], (*self.past, self.present), self.future[1:])


@dataclass(frozen=True)
class View:
    """What is selected and what is open, for all screens. None of it changes an image."""

    level: int = 0
    image: int = 0
    tab: Tab = "effect"
    gallery: bool = False
    locks: frozenset[int] = frozenset()
    open: frozenset[str] = frozenset()
    measured: str | None = None  # the recipe for which a large model's levels were asked to be measured
    theme: Literal["light", "dark"] = "light"


@dataclass(frozen=True)
class Session:
    """`histories` and `views` are by screen. The first always has "explore", the recipe; a screen that has none of
    its own looks at that. What a screen keeps there is its own affair: its module has functions that read it."""

    model: str
    histories: Mapping[str, History[Any]]
    views: Mapping[str, Any] = field(default_factory=dict)
    screen: str = "explore"
    view: View = field(default_factory=View)
    seq: int = 0  # the last intent that was applied
    note: str = ""  # something to say until the next intent
    moving: bool = False  # a hand is still on a control: what it moves is shown at once, the rest when it rests

    @property
    def recipe(self) -> Recipe:
        """What Explore shows."""
        recipe: Recipe = self.histories["explore"].present
        return recipe

    @property
    def works_on(self) -> str:
        """Whose history the screen that is shown changes: undo never changes what is out of sight."""
        return self.screen if self.screen in self.histories else "explore"

    @property
    def history(self) -> History[Any]:
        return self.histories[self.works_on]

    def changed(self, recipe: Recipe, gesture: int | None = None) -> Session:
        """Explore with another recipe."""
        return self.pushed("explore", recipe, gesture)

    def pushed(self, screen: str, value: object, gesture: int | None = None) -> Session:
        """One more step on a screen."""
        return self.with_history(screen, self.histories[screen].push(value, gesture))

    def restarted(self, screen: str, value: object) -> Session:
        """A screen that begins with this value."""
        return self.with_history(screen, History(value))

    def with_history(self, screen: str, history: History[Any]) -> Session:
        return replace(self, histories={**self.histories, screen: history})

    def selected(self, card: Card, level: int) -> Session:
        return self.seen(level=level, open=self.view.open | {card.group_of(level).name})

    def seen(self, **change: object) -> Session:
        return replace(self, view=replace(self.view, **change))  # type: ignore[arg-type]

    def with_view(self, screen: str, view: object) -> Session:
        """Another view of one screen alone."""
        return replace(self, views={**self.views, screen: view})
