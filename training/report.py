"""`python -m training report RUN`: one HTML page about a run, complete in itself, light or dark as the reader's screen.

Curves, rate by level over time, gradient norm and skipped steps, pictures over time, the last figures and the recipe:
all from the run's folder, also while it goes on. Plotly's script is part of the page (5 MB), so it needs no network.
"""

from __future__ import annotations

import argparse
import base64
import html
import json
from pathlib import Path
from typing import Any

import yaml

from training.checkpoint import CHECKPOINT_NAME, load_checkpoint

Line = dict[str, Any]  # of log.jsonl

STYLE = """
:root { color-scheme: light dark; --ink: #1d2733; --soft: #5b6875; --line: #d5dbe1; --paper: #fbfcfd; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e9ee; --soft: #9aa7b4; --line: #35414d; --paper: #14191f; }
}
body { margin: 2rem auto; max-width: 68rem; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif;
       color: var(--ink); background: var(--paper); }
h1 { margin-bottom: 0; } h2 { margin: 2.5rem 0 .5rem; font-size: 1.2rem; } p { color: var(--soft); margin: .2rem 0; }
table { border-collapse: collapse; } td, th { padding: .2rem 1rem .2rem 0; border-bottom: 1px solid var(--line);
       text-align: left; } td + td { font-variant-numeric: tabular-nums; }
figure { margin: 1rem 0; overflow-x: auto; } img { image-rendering: pixelated; max-width: 100%; }
figcaption, summary { color: var(--soft); } pre { overflow-x: auto; color: var(--soft); }
"""

# Plotly draws in colours of its own: take those of the page, again whenever the reader's screen changes.
COLOURS = """
function colours() {
  const page = getComputedStyle(document.documentElement);
  const ink = page.getPropertyValue('--ink').trim(), line = page.getPropertyValue('--line').trim();
  for (const plot of document.querySelectorAll('.js-plotly-plot')) {
    const change = {'font.color': ink};
    for (const axis of Object.keys(plot._fullLayout).filter(key => /^[xy]axis[0-9]*$/.test(key))) {
      change[axis + '.gridcolor'] = line; change[axis + '.zerolinecolor'] = line; change[axis + '.linecolor'] = line;
    }
    Plotly.relayout(plot, change);
  }
}
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', colours);
addEventListener('load', colours);
"""


class ReportError(Exception):
    """A run that cannot be reported on; the message says why and what would help."""


def report_run(options: argparse.Namespace) -> None:
    """The command. Raises ReportError or CheckpointError."""
    out = options.out or options.run / "report.html"
    out.write_text(page(options.run), encoding="utf-8")
    print(f"{out}: open it in a browser")


def page(run: Path) -> str:
    """The page of the run in this folder. Raises ReportError for a run without a log, or without Plotly."""
    lines = read_log(run / "log.jsonl")
    state = load_checkpoint(run) if (run / CHECKPOINT_NAME).exists() else None
    recipe = state["recipe"] if state else {"name": run.name}
    title = html.escape(recipe["name"])
    about = html.escape(recipe.get("summary", ""))
    as_yaml = html.escape(yaml.safe_dump(recipe, sort_keys=False))
    parts = [
        f"<h1>{title}</h1><p>{about}</p>",
        f"<h2>At step {lines[-1]['step']:,}</h2>{table(summary(lines, state))}",
        *plots(lines),
        *pictures(run / "pictures"),
        f"<details><summary>Recipe</summary><pre>{as_yaml}</pre></details>",
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    return (
        f'<!doctype html><html lang="en"><head>{head}<style>{STYLE}</style></head><body>'
        + "\n".join(parts)
        + f"<script>{COLOURS}</script></body></html>\n"
    )


def read_log(path: Path) -> list[Line]:
    """Whole lines of log.jsonl; the last may be in the middle of being written."""
    whole = path.read_text(encoding="utf-8").rpartition("\n")[0] if path.is_file() else ""
    if not whole:
        raise ReportError(f"no line in {path} yet: is it the folder of a run, and has it made `log_every` steps?")
    return [json.loads(line) for line in whole.splitlines()]


def summary(lines: list[Line], state: dict[str, Any] | None) -> list[tuple[str, str]]:
    """The last figures, on training batches, and what the run cost."""
    last = lines[-1]
    rates = [rate for rate in last["rate_by_level"] if rate is not None]
    rows = [
        ("negative ELBO, training batches", f"{number(last['nats_per_image'])} nats/image"),
        ("", f"{number(last['bits_per_dim'], 4)} bits/dim"),
        ("rate + distortion", f"{number(last['rate'])} + {number(last['distortion'])} nats"),
        ("rate by level, from the top", ", ".join(map(number, last["rate_by_level"])) + " nats"),
        ("levels above 0.01 nats", f"{sum(rate > 0.01 for rate in rates)} of {len(last['rate_by_level'])}"),
        ("skipped steps", f"{sum(line['skipped'] for line in lines):,}"),
    ]
    if state is not None:
        rows += [("time", f"{state['wall_time_s'] / 60:.0f} min"), ("hardware", state["hardware"])]
        rows += [("commit", state["commit"] or "not from a checkout")]
    return rows


def number(value: float | None, digits: int = 2) -> str:
    return "not finite" if value is None else f"{value:,.{digits}f}"


def table(rows: list[tuple[str, str]]) -> str:
    cells = (f"<tr><td>{html.escape(name)}</td><td>{html.escape(value)}</td></tr>" for name, value in rows)
    return f"<table>{''.join(cells)}</table>"


def plots(lines: list[Line]) -> list[str]:
    """The curves, each with a heading; the first brings Plotly's script along."""
    go, sample_colorscale = _plotly()
    steps = [line["step"] for line in lines]
    levels = len(lines[0]["rate_by_level"])
    colours = sample_colorscale("Viridis", [0.25 + 0.7 * k / max(1, levels - 1) for k in range(levels)])

    def curve(key: str, name: str, **style: Any) -> Any:
        return go.Scatter(x=steps, y=[line[key] for line in lines], name=name, mode="lines", **style)

    by_level = [
        go.Scatter(
            x=steps, y=[line["rate_by_level"][level] for line in lines], name=f"level {level}", mode="lines",
            stackgroup="rate", line={"width": 0.5, "color": colours[level]},
        )
        for level in range(levels)
    ]  # fmt: skip
    skipped = go.Bar(x=steps, y=[line["skipped"] for line in lines], name="skipped steps")
    figures: list[tuple[str, list[Any], dict[str, Any]]] = [
        ("Negative ELBO, bits/dim", [curve("bits_per_dim", "bits/dim")], {}),
        ("Rate and distortion, nats/image", [curve("rate", "rate"), curve("distortion", "distortion")], {}),
        ("Rate by level, nats/image, the top level lowest", by_level, {}),
        ("Gradient norm, the largest between two lines of the log", [curve("gradient_norm", "norm")],
         {"yaxis": {"type": "log"}}),
        ("Skipped steps", [skipped], {"yaxis": {"rangemode": "tozero"}, "height": 200}),
        ("Learning rate", [curve("learning_rate", "learning rate")], {"height": 200}),
    ]  # fmt: skip
    layout = {
        "template": "none",
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 60, "r": 20, "t": 20, "b": 40},
        "height": 320,
        "xaxis": {"title": {"text": "step"}},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
        "colorway": ["#3b82c4", "#d9822b"],
    }
    parts = []
    for index, (heading, traces, more) in enumerate(figures):
        figure = go.Figure(traces, layout | more)
        drawn = figure.to_html(full_html=False, include_plotlyjs=index == 0, config={"displayModeBar": False})
        parts.append(f"<h2>{heading}</h2>{drawn}")
    return parts


def pictures(folder: Path, most: int = 8) -> list[str]:
    """Contact sheets over time, the last first; of many, evenly spread ones."""
    files = sorted(folder.glob("step-*.png"), reverse=True)
    if not files:
        return []
    count = min(most, len(files))
    chosen = [files[round(k * (len(files) - 1) / max(1, count - 1))] for k in range(count)]
    shown = [
        f'<figure><img alt="contact sheet" src="data:image/png;base64,{base64.b64encode(file.read_bytes()).decode()}">'
        f"<figcaption>step {int(file.stem.removeprefix('step-')):,}</figcaption></figure>"
        for file in chosen
    ]
    rows = "Rows, from above: images, their reconstructions, samples at temperature 1, 0.8 and 0.6."
    return [f"<h2>Pictures over time</h2><p>{rows}</p>", *shown]


def _plotly() -> tuple[Any, Any]:
    """Plotly, which nobody needs in order to train."""
    try:
        import plotly.graph_objects as go
        from plotly.colors import sample_colorscale
    except ImportError as error:
        raise ReportError("a report needs Plotly: pip install -c constraints.txt -e '.[report]'") from error
    return go, sample_colorscale
