"""The recipe that Explore shows: where it starts, and what each of the screen's intents makes of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from app import mixing, recipes
from app.client import Card
from app.intents import Intent, LevelIndex, NewSeed, Seed
from app.state import MANY_LEVELS, FreshSeed, Session, Tab, View
from app.temperature import PRESETS, TOP, clean, with_locks


class ChooseTab(Intent):
    """A tab of the inspector."""

    do: Literal["tab"]
    name: Tab


class SelectImage(Intent):
    do: Literal["image"]
    image: Annotated[int, Field(ge=0)]


class ShowGallery(Intent):
    """All images at once instead of one and its neighbours, or back."""

    do: Literal["gallery"]
    on: bool


class OpenGroup(Intent):
    """Show or hide the levels of one resolution, in models with many levels."""

    do: Literal["open"]
    group: str


class MeasureAll(Intent):
    """Measure the effect of every level of a large model, which is too much to do unasked."""

    do: Literal["measure"]


class SetTemperatures(Intent):
    """The whole rail as one value. Values with the same `gesture` are one undo step."""

    do: Literal["temperature"]
    values: Annotated[list[Annotated[float, Field(ge=0, le=TOP)]], Field(max_length=1000)]
    gesture: int


class UsePreset(Intent):
    do: Literal["preset"]
    name: Literal["flat", "linear", "mean_below", "cosine"]


class LockLevel(Intent):
    """Lock a level, or unlock it."""

    do: Literal["lock"]
    level: LevelIndex


class DrawLevel(Intent):
    """Draw one level again; without a level, the selected one."""

    do: Literal["draw"]
    level: LevelIndex | None = None


class KeepDraw(Intent):
    """Keep a draw from a strip: of the selected level alone, or of everything below it."""

    do: Literal["keep"]
    draw: Annotated[int, Field(ge=0, lt=2**32)]
    below: bool


class SetSeed(Intent):
    do: Literal["seed"]
    seed: Seed


class TurnPage(Intent):
    """The next or the previous n seeds."""

    do: Literal["page"]
    by: Literal[-1, 1]


class SetImages(Intent):
    do: Literal["images"]
    n: Annotated[int, Field(ge=1)]


class SetOutput(Intent):
    do: Literal["output"]
    image: Literal["mean", "sample"]


class DropEdits(Intent):
    """Take nothing from other images any more."""

    do: Literal["drop_edits"]


ExploreIntent = (
    ChooseTab
    | SelectImage
    | ShowGallery
    | OpenGroup
    | MeasureAll
    | SetTemperatures
    | UsePreset
    | LockLevel
    | DrawLevel
    | KeepDraw
    | SetSeed
    | TurnPage
    | SetImages
    | SetOutput
    | DropEdits
)


def first_view(card: Card) -> View:
    """The busiest of the coarse levels is selected: a coarse level has much below it to draw again, so both strips
    have something to show."""
    busiest = max(mixing.QUICK["coarse"](card), key=lambda level: card.levels[level].kl_bits or 0.0)
    folded = len(card.levels) > MANY_LEVELS
    names = [card.group_of(busiest).name] if folded else [group.name for group in card.groups]
    return View(level=busiest, open=frozenset(names))


def key(session: Session) -> str:
    """Names the one image that is looked at, with everything that decides it."""
    return f"{session.model} {recipes.single(session.recipe, session.view.image)}"


def apply(session: Session, intent: Intent, card: Card, fresh_seed: FreshSeed) -> Session:
    """One intent. What does not fit the model, such as a rail of another length, changes nothing."""
    recipe, view = session.recipe, session.view
    match intent:
        case SetTemperatures() if len(intent.values) == len(card.levels):
            values = with_locks(clean(intent.values), recipe["temperature"], view.locks)
            return session.changed(recipes.with_temperature(recipe, values), intent.gesture)
        case UsePreset():
            values = PRESETS[intent.name](len(card.levels), view.level)
            values = with_locks(values, recipe["temperature"], view.locks)
            return session.changed(recipes.with_temperature(recipe, values))
        case DrawLevel():
            drawn = view.level if intent.level is None else intent.level
            if drawn in view.locks:
                return session
            return session.changed(recipes.with_draw(recipe, [drawn], recipes.draw(recipe, drawn) + 1))
        case KeepDraw():
            levels = recipes.below(card, view.level, view.locks) if intent.below else (view.level,)
            return session.changed(recipes.with_draw(recipe, set(levels) - view.locks, intent.draw))
        case SetSeed():
            return session.changed(recipes.with_seed(recipe, intent.seed)).seen(image=0)
        case NewSeed() if session.works_on == "explore":
            return session.changed(recipes.with_seed(recipe, fresh_seed())).seen(image=0)
        case TurnPage():
            return session.changed(recipes.page(recipe, intent.by))
        case SetImages():
            return session.changed(recipes.with_images(recipe, min(intent.n, card.limits.max_images)))
        case SetOutput():
            return session.changed(recipes.with_output(recipe, intent.image))
        case DropEdits():
            return session.changed({**recipe, "edits": []})
        case _:
            return _seen(session, intent)


def _seen(session: Session, intent: Intent) -> Session:
    """The intents that change only what is shown."""
    view = session.view
    match intent:
        case ChooseTab():
            return session.seen(tab=intent.name)
        case SelectImage():
            return session.seen(image=intent.image, gallery=False)
        case ShowGallery():
            return session.seen(gallery=intent.on)
        case OpenGroup():
            return session.seen(open=view.open ^ {intent.group})
        case MeasureAll():
            return session.seen(measured=key(session))
        case LockLevel():
            return session.seen(locks=view.locks ^ {intent.level})
        case _:
            return session
