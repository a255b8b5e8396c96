"""The page in Gradio: where the regions are, and how the page calls Python. No decision is made here.

One invisible component, the bus, offers the page the two functions of `Pages`. Each call is one request that no queue
delays; Gradio's own events would take several times as long, because they also update every component that they name.
Regions are places only: `static/strata.js` puts HTML there without replacing what has the focus.
"""

from __future__ import annotations

import base64
from importlib.resources import files
from typing import Any

import gradio as gr

from app import header, plots
from app.client import Client
from app.explorer import Explorer
from app.pages import Pages, Reply
from app.screens import SCREENS
from app.screens.screen import Box, Plot

# What the page consists of, in this order. The first script is the one that the others build on.
STYLES = ("strata.css", "edit.css", "morph.css", "compare.css", "learn.css")
SCRIPTS = ("strata.js", "edit.js", "morph.js", "learn.js")

BUS_JS = 'strata.bus(server, (page) => { props.value = page; trigger("looked"); })'
# The font travels inside the style sheet, so that the page looks the same everywhere and asks nobody for it.
FONT_FACE = "@font-face{font-family:Inter;font-weight:100 900;src:url(data:font/woff2;base64,%s) format('woff2')}\n"
ONE_SCREEN = ':root:root:not([data-screen="%(name)s"]) #%(name)s{display:none!important}\n'
REGION_JS = 'strata.region(element, "%s")'


def build(client: Client) -> gr.Blocks:
    """The explorer for the server behind `client`. Serve it with `launch(**page())`."""
    pages = Pages(Explorer(client))

    async def act(call: dict[str, Any]) -> Reply | None:
        return await pages.act(call)

    async def rest(call: dict[str, Any]) -> Reply | None:
        return await pages.rest(call)

    def looked(page: str) -> Any:
        """The plot that this page looks at."""
        plotted = pages.plotted(page)
        return plots.bits(*plotted) if plotted else gr.skip()

    with gr.Blocks(title="Strata", analytics_enabled=False, fill_width=True) as blocks:
        bus: Any = gr.HTML(
            "",
            html_template="",
            js_on_load=BUS_JS,
            server_functions=[act, rest],
            elem_id="bus",
            apply_default_css=False,
        )
        plot = _layout()
        bus.looked(
            looked,
            [bus],
            [plot],
            trigger_mode="always_last",  # by default, what comes while one is under way is dropped,
            concurrency_limit=None,  # and one person's plot waits for another's
            show_progress="hidden",
            api_visibility="private",
        )
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


def _layout() -> gr.Plot:
    """Every region and the one plot, in their places. Returns the plot."""
    plots: list[gr.Plot] = []
    _region("header")
    for screen in SCREENS:
        _place(screen.layout, plots)
    gr.HTML(header.keys(), elem_id="r-keys", apply_default_css=False)
    return plots[0]


def _place(box: Box, plots: list[gr.Plot]) -> None:
    with (gr.Row if box.row else gr.Column)(elem_id=box.id, elem_classes=box.classes):
        for part in box.parts:
            if isinstance(part, Box):
                _place(part, plots)
            elif isinstance(part, Plot):
                plots.append(gr.Plot(show_label=False, container=False, elem_id=part.id))
            else:
                _region(part)


def _region(name: str) -> None:
    gr.HTML("", html_template="", js_on_load=REGION_JS % name, elem_id=f"r-{name}", apply_default_css=False)
