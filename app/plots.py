"""Plotly figures, in the colours and type of the page: no title, fixed height, numbers readable without colour."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import plotly.graph_objects as go

from app.client import Card
from app.html import fill_rgb

INK = {
    "light": {"ink": "#131722", "axis": "#5A6371", "line": "#DDE1E7", "accent": "#3B4CCB"},
    "dark": {"ink": "#EDF0F5", "axis": "#98A2B0", "line": "#2B323D", "accent": "#9AA8FF"},
}
FONT = 'Inter, ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif'
HEIGHT = 270


def bits(card: Card, selected: int, theme: str) -> go.Figure:
    """Bits per level as bars and their running total as a line; the selected level has a ring."""
    ink = INK[theme]
    rates = [level.kl_bits or 0.0 for level in card.levels]
    index = [level.index for level in card.levels]
    figure = go.Figure()
    figure.add_bar(
        x=index,
        y=rates,
        name="bits",
        marker={
            "color": [fill_rgb(card, level.group, theme) for level in card.levels],
            "line": {"color": ink["accent"], "width": [2 if level == selected else 0 for level in index]},
        },
        hovertemplate="level %{x}: %{y:.2f} bits<extra></extra>",
    )
    figure.add_scatter(
        x=index,
        y=list(accumulate(rates)),
        name="running total",
        yaxis="y2",
        mode="lines",
        line={"color": ink["ink"], "width": 1.5},
        hovertemplate="levels 0–%{x}: %{y:.1f} bits<extra></extra>",
    )
    axis: dict[str, Any] = {"gridcolor": ink["line"], "zeroline": False, "rangemode": "tozero", "fixedrange": True}
    figure.update_layout(
        height=HEIGHT,
        margin={"l": 40, "r": 44, "t": 8, "b": 40},
        showlegend=False,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": FONT, "size": 11, "color": ink["axis"]},
        bargap=0.2,
        uirevision="keep",
        dragmode=False,
        xaxis={"title": {"text": "level"}, "fixedrange": True, "showgrid": False, "zeroline": False},
        yaxis={**axis, "title": {"text": "bits a level (bars)"}},
        yaxis2={**axis, "title": {"text": "running total, bits (line)"}, "overlaying": "y", "side": "right"}
        | {"showgrid": False},
    )
    return figure
