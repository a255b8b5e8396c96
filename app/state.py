"""The session: what one person looks at, and what each intent makes of it. Pure, so undo is a list of values.

Everything that decides an image is in a recipe (or a mix, which stands for one) and has a history; everything that
decides only what is shown of it is the view and has none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, Literal, TypeVar

from app import intents as do
from app import mixing, recipes, reconstructing
from app.client import Card, Recipe
from app.intents import AnyIntent
from app.laddering import LadderView
from app.mixing import Mix, Source
from app.reconstructing import Reconstruction
from app.temperature import PRESETS, clean, with_locks

STEPS = 200  # undo steps that are kept
MANY_LEVELS = 20  # from here on the groups of the rail are folded
STRIP = 8  # draws in a strip

T = TypeVar("T")
Screen = Literal["explore", "levels", "mix", "reconstruct"]
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
    """What is selected and what is open. None of it changes an image."""

    level: int = 0
    image: int = 0
    tab: Literal["effect", "bits"] = "effect"
    gallery: bool = False
    locks: frozenset[int] = frozenset()
    open: frozenset[str] = frozenset()
    measured: str | None = None  # the recipe for which a large model's levels were asked to be measured
    spaces: Literal["noise", "latent", "both"] = "both"
    ladder: LadderView = field(default_factory=LadderView)
    theme: Literal["light", "dark"] = "light"


@dataclass(frozen=True)
class Session:
    model: str
    explore: History[Recipe]
    mix: History[Mix]
    reconstruct: History[Reconstruction]
    screen: Screen = "explore"
    view: View = field(default_factory=View)
    seq: int = 0  # the last intent that was applied
    note: str = ""  # something to say until the next intent

    @property
    def recipe(self) -> Recipe:
        return self.explore.present

    @property
    def history(self) -> History[Recipe] | History[Mix] | History[Reconstruction]:
        """The history of the screen that is shown: undo never changes what is out of sight. Levels looks at the
        image of Explore."""
        return {"mix": self.mix, "reconstruct": self.reconstruct}.get(self.screen, self.explore)  # type: ignore[return-value]

    def changed(self, recipe: Recipe, gesture: int | None = None) -> Session:
        return replace(self, explore=self.explore.push(recipe, gesture))

    def mixed(self, mix: Mix) -> Session:
        return replace(self, mix=self.mix.push(mix))

    def reconstructed(self, value: Reconstruction, gesture: int | None = None) -> Session:
        return replace(self, reconstruct=self.reconstruct.push(value, gesture))

    def selected(self, card: Card, level: int) -> Session:
        return self.seen(level=level, open=self.view.open | {card.group_of(level).name})

    def seen(self, **change: object) -> Session:
        return replace(self, view=replace(self.view, **change))  # type: ignore[arg-type]


def start(card: Card) -> Session:
    """A new session on a model: a few images of the prior, and the busiest of the coarse levels selected.

    A coarse level has much below it to draw again, so both strips have something to show.
    """
    recipe = recipes.first(card)
    seed = recipes.seed(recipe)
    coarse = mixing.QUICK["coarse"](card)
    mix = Mix({"seed": seed}, {"seed": seed + 1}, coarse, recipes.temperature(recipe))
    busiest = max(coarse, key=lambda level: card.levels[level].kl_bits or 0.0)
    folded = len(card.levels) > MANY_LEVELS
    names = [card.group_of(busiest).name] if folded else [group.name for group in card.groups]
    ladder = LadderView(rows="groups" if folded and len(card.groups) > 1 else "levels")
    view = View(level=busiest, open=frozenset(names), ladder=ladder)
    return Session(card.id, History(recipe), History(mix), History(reconstructing.first(card)), view=view)


def apply(session: Session, wanted: Sequence[AnyIntent], card: Card, fresh_seed: FreshSeed) -> Session:
    """The session after those of the intents that it has not seen yet, in order."""
    for intent in wanted:
        if intent.seq > session.seq:
            session = replace(_apply(session, intent, card, fresh_seed), seq=intent.seq, note="")
    return _fitting(session, card)


def _apply(session: Session, intent: AnyIntent, card: Card, fresh_seed: FreshSeed) -> Session:
    """One intent. What does not fit the model, such as a level that it has not got, changes nothing."""
    recipe, view = session.recipe, session.view
    level = getattr(intent, "level", None)
    if level is not None and level >= len(card.levels):
        return session
    match intent:
        case do.Undo():
            return _with_history(session, "undo")
        case do.Redo():
            return _with_history(session, "redo")
        case do.ChooseScreen():
            return replace(session, screen=intent.name)
        case do.ChooseTab():
            return session.seen(tab=intent.name)
        case do.ChooseTheme():
            return session.seen(theme=intent.name)
        case do.SelectLevel():
            return session.selected(card, intent.level)
        case do.SelectImage():
            return session.seen(image=intent.image, gallery=False)
        case do.ShowGallery():
            return session.seen(gallery=intent.on)
        case do.OpenGroup():
            return session.seen(open=view.open ^ {intent.group})
        case do.MeasureAll():
            return session.seen(measured=key(session))
        case do.LockLevel():
            return session.seen(locks=view.locks ^ {intent.level})
        case do.SetTemperatures() if len(intent.values) == len(card.levels):
            values = with_locks(clean(intent.values), recipe["temperature"], view.locks)
            return session.changed(recipes.with_temperature(recipe, values), intent.gesture)
        case do.UsePreset():
            values = PRESETS[intent.name](len(card.levels), view.level)
            values = with_locks(values, recipe["temperature"], view.locks)
            return session.changed(recipes.with_temperature(recipe, values))
        case do.DrawLevel():
            drawn = view.level if intent.level is None else intent.level
            if drawn in view.locks:
                return session
            return session.changed(recipes.with_draw(recipe, [drawn], recipes.draw(recipe, drawn) + 1))
        case do.KeepDraw():
            levels = recipes.below(card, view.level, view.locks) if intent.below else (view.level,)
            return session.changed(recipes.with_draw(recipe, set(levels) - view.locks, intent.draw))
        case do.SetSeed():
            return session.changed(recipes.with_seed(recipe, intent.seed)).seen(image=0)
        case do.NewSeed() if session.screen == "mix":
            return _new_pair(session, card, fresh_seed)
        case do.NewSeed() if session.screen == "reconstruct":
            return _picked(session, card, fresh_seed() % max(1, len(card.examples)))
        case do.NewSeed():
            return session.changed(recipes.with_seed(recipe, fresh_seed())).seen(image=0)
        case do.TurnPage():
            return session.changed(recipes.page(recipe, intent.by))
        case do.SetImages():
            return session.changed(recipes.with_images(recipe, min(intent.n, card.limits.max_images)))
        case do.SetOutput():
            return session.changed(recipes.with_output(recipe, intent.image))
        case do.DropEdits():
            return session.changed({**recipe, "edits": []})
        case do.ShowLadder():
            chosen = intent.model_dump(include={"rows", "below", "hidden"}, exclude_none=True)
            return session.seen(ladder=replace(view.ladder, **chosen))
        case do.DrawLadder():
            return session.seen(ladder=replace(view.ladder, page=view.ladder.page + 1))
        case _:
            return _apply_mix(session, intent, card)


def _apply_mix(session: Session, intent: AnyIntent, card: Card) -> Session:
    mix = session.mix.present
    match intent:
        case do.MixLevel():
            return session.mixed(mix.toggled(intent.level))
        case do.MixQuick():
            return session.mixed(replace(mix, levels=mixing.QUICK[intent.name](card)))
        case do.MixCut():
            sources = mixing.rows(mix, card)
            b = mix.b if intent.row is None or intent.row >= len(sources) else sources[intent.row]
            return session.mixed(replace(mix, b=b, levels=tuple(range(min(intent.cut, len(card.levels))))))
        case do.MixSource() if (source := _source(intent, card)) is not None:
            return session.mixed(replace(mix, a=source) if intent.which == "a" else replace(mix, b=source))
        case do.MixSwap():
            return session.mixed(mix.swapped())
        case do.MixSpaces():
            return session.seen(spaces=intent.spaces)
        case do.PickExample():
            return _picked(session, card, intent.example)
        case do.KeepLevels():
            now = session.reconstruct.present
            return session.reconstructed(replace(now, kept=min(intent.kept, len(card.levels))), intent.gesture)
        case do.ChooseOthers():
            return session.reconstructed(replace(session.reconstruct.present, others=intent.others))
        case do.MixExplore():
            recipe = mixing.mixed(mix, intent.space, len(card.levels))
            return replace(session.changed(recipe).seen(image=0), screen="explore")
        case _:
            return session


def key(session: Session) -> str:
    """Names the one image that is looked at, with everything that decides it."""
    return f"{session.model} {recipes.single(session.recipe, session.view.image)}"


def _fitting(session: Session, card: Card) -> Session:
    """Nothing selected that does not exist."""
    view = session.view
    image = min(view.image, recipes.count(session.recipe) - 1)
    return session.seen(image=image, level=min(view.level, len(card.levels) - 1))


def _with_history(session: Session, step: Literal["undo", "redo"]) -> Session:
    if session.screen == "mix":
        return replace(session, mix=getattr(session.mix, step)())
    if session.screen == "reconstruct":
        return replace(session, reconstruct=getattr(session.reconstruct, step)())
    return replace(session, explore=getattr(session.explore, step)())


def _picked(session: Session, card: Card, example: int) -> Session:
    if example >= len(card.examples):
        return session
    now = session.reconstruct.present
    return session.reconstructed(replace(now, source=reconstructing.Source(example=example)))


def _new_pair(session: Session, card: Card, fresh_seed: FreshSeed) -> Session:
    mix, a, b = session.mix.present, fresh_seed(), fresh_seed()
    if "example" in mix.a and len(card.examples) > 1:
        count = len(card.examples)
        return session.mixed(replace(mix, a={"example": a % count}, b={"example": (a + 1 + b % (count - 1)) % count}))
    return session.mixed(replace(mix, a={"seed": a}, b={"seed": b}))


def _source(intent: do.MixSource, card: Card) -> Source | None:
    if intent.seed is not None:
        return {"seed": intent.seed}
    if intent.example is not None and intent.example < len(card.examples):
        return {"example": intent.example}
    return None
