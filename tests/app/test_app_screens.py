"""What holds for every screen: it has a place for all it shows, and keeps to what is its own."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import get_args

import pytest
from fake_api import FakeApi, make_card

from app.explorer import REGIONS
from app.screens import SCREENS, AnyIntent, restored, start
from app.screens.screen import Asking, Regions, Screen
from app.state import Session

CARD = make_card()


@pytest.fixture(params=SCREENS, ids=lambda screen: screen.name)
def screen(request: pytest.FixtureRequest) -> type[Screen]:
    found: type[Screen] = request.param
    return found


@pytest.fixture
def session(screen: type[Screen]) -> Session:
    return restored(CARD, {"screen": screen.name})


def test_no_region_has_two_places() -> None:
    assert [name for name, count in Counter(REGIONS).items() if count > 1] == []


def test_its_box_has_its_name_and_its_troubles_have_a_place(screen: type[Screen]) -> None:
    assert screen.layout.id == screen.name
    assert {screen.trouble, screen.later_trouble} <= set(screen.layout.regions)


def test_all_that_it_shows_has_a_place(screen: type[Screen], session: Session) -> None:
    async def all_of_it() -> Regions:
        shown = screen(Asking(FakeApi().client()))
        found = {**await shown.opening(CARD, session), **shown.controls(CARD, session)}
        found |= (await shown.show(CARD, session)).regions
        async for regions in shown.settle(CARD, session):
            found |= regions
        return found

    found, places = set(asyncio.run(all_of_it())), set(screen.layout.regions)
    assert found <= places
    assert places - found <= {"encoded"}, "which belongs to two tabs of the inspector, of which neither is open"


def test_what_a_new_link_says_is_how_the_screen_starts(screen: type[Screen], session: Session) -> None:
    query = {"screen": screen.name, **screen.query(session)}
    assert restored(CARD, query) == session
    assert session.screen == screen.name


def test_it_looks_at_its_own_history_or_at_explores(screen: type[Screen], session: Session) -> None:
    own = screen.first(CARD) is not None
    assert session.works_on == (screen.name if own else "explore")
    assert (screen.name in start(CARD).histories) == own


def test_every_intent_has_a_name_of_its_own() -> None:
    intents = get_args(get_args(AnyIntent)[0])
    names = [get_args(intent.model_fields["do"].annotation)[0] for intent in intents]
    assert len(names) == len(set(names))
