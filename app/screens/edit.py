"""Edit: what is in one place of a level?"""

from __future__ import annotations

from dataclasses import replace

from app import changing, edit, editing, painting, stage
from app.changing import Editing
from app.client import Card, Recipe
from app.editing import Tools
from app.intents import Intent
from app.screens.screen import Box, Query, Regions, Screen, Shown, number
from app.state import FreshSeed, Session


class Edit(Screen):
    name = "edit"
    title = "Edit"
    layout = Box(
        "edit",
        (
            "edit_heading",
            "edit_status",
            "edit_levels",
            Box("edrow", ("edit_changes", "edit_board", "edit_result"), row=True),
        ),
    )
    trouble = later_trouble = "edit_status"

    @classmethod
    def first(cls, card: Card) -> Editing:
        return editing.first(card)

    @classmethod
    def first_view(cls, card: Card) -> Tools:
        return Tools()

    @classmethod
    def apply(cls, session: Session, intent: Intent, card: Card, fresh_seed: FreshSeed) -> Session:
        return editing.apply(session, intent, card, fresh_seed)

    @classmethod
    def query(cls, session: Session) -> dict[str, str]:
        now = editing.now(session)
        return {
            "grid": str(now.level),
            "cells": painting.to_text(now.cells),
            **editing.to_query(editing.tools(session)),
        }

    @classmethod
    def restored(cls, session: Session, card: Card, query: Query) -> Session:
        now, level = editing.now(session), number(query.get("grid"))
        if level is not None and level < len(card.levels):
            cells = painting.from_text(query.get("cells", ""), card.levels[level])
            painted = cells or painting.middle(card.levels[level])
            session = session.restarted("edit", replace(now, level=level, cells=painted))
        return session.with_view("edit", editing.from_query(editing.tools(session), query, card))

    @classmethod
    def recipe(cls, session: Session) -> Recipe:
        return editing.now(session).after

    @classmethod
    def with_recipe(cls, session: Session, card: Card, recipe: Recipe) -> Session:
        return session.restarted("edit", changing.with_recipe(editing.now(session), recipe))

    def controls(self, card: Card, session: Session) -> Regions:
        return {"edit_heading": edit.heading(card, session), "edit_levels": edit.levels(card, editing.now(session))}

    async def show(self, card: Card, session: Session) -> Shown:
        now, other = editing.now(session), changing.start(editing.tools(session).source, card)
        after = await self.client.sample(card.id, now.after)
        before = await self.client.sample(card.id, now.before)
        swapped = await self.client.sample(card.id, {**other, "temperature": now.before["temperature"]})
        regions = {
            "edit_status": stage.note(session),
            "edit_board": edit.board(card, session, after.images[0]),
            "edit_changes": edit.changes(card, session, swapped.images[0]),
            "edit_result": edit.result(card, session, before.images[0], after.images[0]),
        }
        return Shown(regions, after, after.token)
