"""`python -m app --api URL`: the explorer for a running server."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from app.client import Client

PATIENCE_S = 600.0  # a ladder of a large model on a CPU takes minutes; what nobody waits for is given up anyway


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    # Gradio reads these when it is imported: it must neither report home nor look there for a newer version.
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from app.ui import build, page

    blocks = build(Client.connect(options.api, timeout=PATIENCE_S))
    print(f"Strata explorer on http://{options.host}:{options.port}  (server: {options.api})", flush=True)
    blocks.launch(server_name=options.host, server_port=options.port, **page())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m app", description="The explorer, for a server that is running.")
    parser.add_argument("--api", default="http://127.0.0.1:8000", metavar="URL", help="the server (%(default)s)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=7860, help="port to listen on (%(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
