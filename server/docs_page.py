"""The API's own documentation as one page without scripts or outside requests: FastAPI's would load a CDN."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import Any

STYLE = """
:root { color-scheme: light dark; --line: #dde1e7; --soft: #edeff3; --accent: #3b4ccb; }
@media (prefers-color-scheme: dark) { :root { --line: #323d4a; --soft: #1e232c; --accent: #9aa8ff; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 860px; margin: 2rem auto; padding: 0 1rem; }
h2 { margin: 2.5rem 0 .5rem; font-size: 1.1rem; border-top: 1px solid var(--line); padding-top: 1rem; }
code, pre { font: 13px/1.45 ui-monospace, monospace; }
pre { background: var(--soft); padding: .75rem; border-radius: 8px; white-space: pre-wrap; overflow-wrap: anywhere; }
b { color: var(--accent); } summary { cursor: pointer; } table { border-collapse: collapse; }
td { padding: .15rem 1rem .15rem 0; vertical-align: top; }
"""


def render_docs(document: dict[str, Any], address: str, model: str) -> str:
    """An OpenAPI document as HTML: each call with its examples as curl lines, and its answers.

    The lines can be pasted: they are for the server at `address` (no slash at its end) and name `model`.
    """
    info = document["info"]
    return "\n".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{escape(info['title'])} API</title><style>{STYLE}</style></head><body>",
            f"<h1>{escape(info['title'])} API</h1><p>{escape(info.get('summary', ''))}. ",
            'The same as data: <a href="/openapi.json">/openapi.json</a>.</p>',
            *_calls(document["paths"], address, model),
            "<h2>Schemas</h2>",
            *_schemas(document["components"]["schemas"]),
            "</body></html>",
        )
    )


def _calls(paths: dict[str, Any], address: str, model: str) -> Iterator[str]:
    for path, operations in paths.items():
        for method, operation in operations.items():
            yield f"<h2><b>{method.upper()}</b> <code>{escape(path)}</code></h2><p>{escape(operation['summary'])}</p>"
            url = address + path.replace("{model_id}", model)
            yield from _bodies(url, operation.get("requestBody", {}).get("content", {}), model)
            yield "<table>"
            for status, response in operation["responses"].items():
                kinds = ", ".join(response.get("content", {}))
                yield (
                    f"<tr><td>{status}</td><td>{escape(response['description'])}</td>"
                    f"<td><code>{escape(kinds)}</code></td></tr>"
                )
            yield "</table>"


def _bodies(url: str, content: dict[str, Any], model: str) -> Iterator[str]:
    for media_type, body in content.items():
        for name, example in body.get("examples", {}).items():
            value = example["value"]
            text = json.dumps({**value, "model": model} if "model" in value else value)
            curl = f"curl {url} \\\n  -H 'Content-Type: {media_type}' -d '{text}'"
            yield f"<p>{escape(name)}</p><pre>{escape(curl)}</pre>"


def _schemas(schemas: dict[str, Any]) -> Iterator[str]:
    for name, schema in sorted(schemas.items()):
        text = escape(json.dumps(schema, indent=2))
        yield f"<details><summary><code>{escape(name)}</code></summary><pre>{text}</pre></details>"
