"""All screens, in the order of their tabs.

A further screen is a subclass of `Screen` (app/screens/screen.py), one line in SCREENS, and its intents in AnyIntent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from app import exploring
from app import intents as do
from app.client import Card
from app.comparing import CompareIntent
from app.dropped import Restore
from app.editing import EditIntent
from app.exploring import ExploreIntent
from app.intents import CommonIntent, Intent
from app.laddering import LevelsIntent
from app.mixing import MixIntent
from app.morphing import MorphIntent
from app.recipes import count
from app.reconstructing import ReconstructIntent
from app.screens.compare import Compare
from app.screens.edit import Edit
from app.screens.explore import Explore
from app.screens.learn import Learn
from app.screens.levels import Levels
from app.screens.mix import Mix
from app.screens.morph import Morph
from app.screens.reconstruct import Reconstruct
from app.screens.screen import Query, Screen, number
from app.state import FreshSeed, History, Session
from app.touring import LearnIntent

SCREENS: tuple[type[Screen], ...] = (Explore, Levels, Mix, Reconstruct, Edit, Morph, Compare, Learn)
AnyIntent = Annotated[
    CommonIntent
    | Restore
    | ExploreIntent
    | LevelsIntent
    | MixIntent
    | ReconstructIntent
    | EditIntent
    | MorphIntent
    | CompareIntent
    | LearnIntent,
    Field(discriminator="do"),
]

NAMES = tuple(screen.name for screen in SCREENS)


def start(card: Card) -> Session:
    """A new session on a model."""
    histories = {screen.name: History(value) for screen in SCREENS if (value := screen.first(card)) is not None}
    views = {screen.name: view for screen in SCREENS if (view := screen.first_view(card)) is not None}
    return Session(card.id, histories, views, view=exploring.first_view(card))


def moved(session: Session, card: Card) -> Session:
    """A new session on another model, on the same screen; what a screen has that outlives a model stays."""
    fresh = start(card).seen(theme=session.view.theme)
    kept = {screen.name: session.histories[screen.name] for screen in SCREENS if screen.outlives_model}
    return replace(fresh, screen=session.screen, histories={**fresh.histories, **kept})


def apply(session: Session, wanted: Sequence[Intent], card: Card, fresh_seed: FreshSeed) -> Session:
    """The session after those of the intents that it has not seen yet, in order."""
    for intent in wanted:
        if intent.seq > session.seq:
            session = replace(_apply(replace(session, note=""), intent, card, fresh_seed), seq=intent.seq)
    return fitting(session, card)


def restored(card: Card, query: Query) -> Session:
    """A session with what a link says besides its recipe, as far as that makes sense; the rest as at the start."""
    session = start(card)
    if query.get("screen") in NAMES:
        session = replace(session, screen=query["screen"])
    level = number(query.get("level"))
    if level is not None and level < len(card.levels):
        session = session.selected(card, level)
    if query.get("theme") == "dark":
        session = session.seen(theme="dark")
    for screen in SCREENS:
        session = screen.restored(session, card, query)
    return session


def fitting(session: Session, card: Card) -> Session:
    """Nothing selected that does not exist."""
    view = session.view
    image = min(view.image, count(session.recipe) - 1)
    return session.seen(image=image, level=min(view.level, len(card.levels) - 1))


def _apply(session: Session, intent: Intent, card: Card, fresh_seed: FreshSeed) -> Session:
    """One intent. What does not fit the model, such as a level that it has not got, changes nothing."""
    level = getattr(intent, "level", None)
    if level is not None and level >= len(card.levels):
        return session
    match intent:
        case do.Undo():
            return session.with_history(session.works_on, session.history.undo())
        case do.Redo():
            return session.with_history(session.works_on, session.history.redo())
        case do.ChooseScreen() if intent.name in NAMES:
            return replace(session, screen=intent.name)
        case do.ChooseTheme():
            return session.seen(theme=intent.name)
        case do.SelectLevel():
            return session.selected(card, intent.level)
        case _:
            for screen in SCREENS:
                session = screen.apply(session, intent, card, fresh_seed)
            return session
