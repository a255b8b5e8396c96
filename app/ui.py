"""The page in Gradio: where the regions are, and which event fills them. No decision is made here.

One invisible component, the bus, hands the page's intents to Python; every region is a `gr.HTML` whose value is
the HTML it should have. `static/strata.js` puts it there without replacing what has the focus.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl

import gradio as gr
from pydantic import BaseModel, ConfigDict

from app import header, plots
from app.client import Card, Client
from app.explorer import REGIONS, Explorer
from app.screens import SCREENS, AnyIntent
from app.screens.screen import Box, Plot, Regions
from app.state import Session

# What the page consists of, in this order. The first script is the one that the others build on.
STYLES = ("strata.css", "edit.css")
SCRIPTS = ("strata.js", "edit.js")

BUS_JS = """strata.bus({
  opened: () => trigger("opened"), intended: () => trigger("intended"), settled: () => trigger("settled"),
}, props)"""
# The font travels inside the style sheet, so that the page looks the same everywhere and asks nobody for it.
FONT_FACE = "@font-face{font-family:Inter;font-weight:100 900;src:url(data:font/woff2;base64,%s) format('woff2')}\n"
ONE_SCREEN = ':root:root:not([data-screen="%(name)s"]) #%(name)s{display:none!important}\n'
REGION_JS = "strata.region(element, props, watch)"

# Gradio's defaults would drop events while one is under way and let one person's drag wait for another's.
EVENT: dict[str, Any] = {
    "trigger_mode": "always_last",
    "concurrency_limit": None,
    "show_progress": "hidden",
    "api_visibility": "private",
    "queue": True,
}


class Message(BaseModel):
    """What the bus carries: the page's address after `?`, and the intents that were not answered yet."""

    model_config = ConfigDict(extra="forbid")

    link: str = ""
    intents: list[AnyIntent] = []

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.link.removeprefix("?"), max_num_fields=50))


def build(client: Client) -> gr.Blocks:
    """The explorer for the server behind `client`. Serve it with `launch(**page())`."""
    explorer = Explorer(client)
    with gr.Blocks(title="Strata", analytics_enabled=False, fill_width=True) as blocks:
        session: Any = gr.State(None)
        bus = gr.HTML({}, html_template="", js_on_load=BUS_JS, elem_id="bus", apply_default_css=False)
        regions, plot = _layout()

        def seen(now: Session | None, found: Regions) -> dict[Any, Any]:
            """The regions that changed, each marked with the last intent that it shows."""
            seq = now.seq if now else 0
            return {regions[name]: f'<div data-seq="{seq}">{text}</div>' for name, text in found.items()}

        def looked_at(now: Session | None) -> tuple[Card, int, str] | None:
            """What the plot depends on, while it is looked at."""
            if now is None or now.screen != "explore" or now.view.tab != "bits":
                return None
            return explorer.card(now), now.view.level, now.view.theme

        def plotted(before: Session | None, after: Session | None) -> dict[Any, Any]:
            """The plot, if it is looked at and changed."""
            drawn = looked_at(after)
            return {plot: plots.bits(*drawn)} if drawn and drawn != looked_at(before) else {}

        async def opened(message: dict[str, Any]) -> dict[Any, Any]:
            now, found = await explorer.open(Message.model_validate(message).query)
            return {session: now, **seen(now, found), **plotted(None, now)}

        async def intended(message: dict[str, Any], now: Session | None) -> dict[Any, Any]:
            checked = Message.model_validate(message)
            after, found = await explorer.show(now, checked.intents, checked.query)
            return {session: after, **seen(after, found), **plotted(now, after)}

        async def settled(now: Session) -> AsyncIterator[dict[Any, Any]]:
            """Never writes the session, which may be newer by now."""
            async for found in explorer.settle(now):
                yield seen(now, found)

        bus.opened(opened, [bus], [session, plot, *regions.values()], **EVENT)
        bus.intended(intended, [bus, session], [session, plot, *regions.values()], **EVENT)
        bus.settled(settled, [session], [*regions.values()], **EVENT)
    return blocks


def page() -> dict[str, Any]:
    """What `launch` needs to show the page as designed: style, script, and none of Gradio's own furniture."""
    static = files("app") / "static"
    font = base64.b64encode((static / "inter.woff2").read_bytes()).decode()
    styles = [(static / name).read_text(encoding="utf-8") for name in STYLES]
    scripts = [(static / name).read_text(encoding="utf-8") for name in SCRIPTS]
    style = "".join([FONT_FACE % font, *styles, *(ONE_SCREEN % {"name": screen.name} for screen in SCREENS)])
    return {
        # not `css=`: Gradio adds that twice, once with a prefix that outweighs the rest of the sheet
        "head": f"<style>{style}</style>" + "".join(f"<script>{script}</script>" for script in scripts),
        "footer_links": [],
        "ssr_mode": False,
        "quiet": True,
    }


def _layout() -> tuple[dict[str, gr.HTML], gr.Plot]:
    """Every region by name, and the one plot, in their places."""
    regions = {name: _region(name) for name in ("header", "settled")}
    plots: list[gr.Plot] = []
    for screen in SCREENS:
        _place(screen.layout, regions, plots)
    gr.HTML(header.keys(), elem_id="r-keys", apply_default_css=False)
    return {name: regions[name] for name in REGIONS}, plots[0]


def _place(box: Box, regions: dict[str, gr.HTML], plots: list[gr.Plot]) -> None:
    with (gr.Row if box.row else gr.Column)(elem_id=box.id, elem_classes=box.classes):
        for part in box.parts:
            if isinstance(part, Box):
                _place(part, regions, plots)
            elif isinstance(part, Plot):
                plots.append(gr.Plot(show_label=False, container=False, elem_id=part.id))
            else:
                regions[part] = _region(part)


def _region(name: str) -> gr.HTML:
    return gr.HTML("", html_template="", js_on_load=REGION_JS, elem_id=f"r-{name}", apply_default_css=False)
