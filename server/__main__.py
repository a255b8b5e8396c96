"""`python -m server`: serve the zoo over REST."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import uvicorn
from pydantic import ValidationError

from server.api import create_app
from server.engine import Provider
from server.settings import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = {name: value for name, value in vars(_parser().parse_args(arguments)).items() if value is not None}
    try:
        settings = Settings(**chosen)
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False, include_context=False):
            print(f"setting {'.'.join(map(str, fault['loc']))}: {fault['msg']}", file=sys.stderr)
        return 2
    app = create_app(settings.zoo, settings)
    uvicorn.run(app, host=settings.host, port=settings.port, server_header=False)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m server",
        description="Serve the zoo over REST.",
        epilog="Each option is also an environment variable, such as STRATA_PORT; server/settings.py lists them all.",
    )
    for name, kind in (("host", str), ("port", int), ("zoo", Path), ("threads", int)):
        field = Settings.model_fields[name]
        parser.add_argument(f"--{name}", type=kind, help=field.description)
    parser.add_argument("--provider", choices=get_args(Provider), help=Settings.model_fields["provider"].description)
    return parser


if __name__ == "__main__":
    sys.exit(main())
