"""`python -m server` serves the zoo over REST; `python -m server new-token` makes a token and its hash."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from pydantic import ValidationError

from server.api import create_app
from server.auth import TokenError, new_token, token_hash
from server.engine import Provider
from server.logs import LogFormat, configure_logs
from server.serve import serve
from server.settings import Settings
from server.tracing import TracingError


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = {name: value for name, value in vars(_parser().parse_args(arguments)).items() if value is not None}
    if chosen.pop("command", None) == "new-token":
        token = new_token()
        print(f"token, for whoever asks:  {token}\nhash, for STRATA_TOKENS:  {token_hash(token)}")
        return 0
    try:
        settings = Settings(**chosen)
        configure_logs(settings.log_format)
        app = create_app(settings.zoo, settings)
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False, include_context=False):
            print(f"setting {'.'.join(map(str, fault['loc'])) or 'host'}: {fault['msg']}", file=sys.stderr)
        return 2
    except (TokenError, TracingError, OSError) as error:
        print(f"setting tokens or tracing: {error}", file=sys.stderr)
        return 2
    serve(app, app.state.service)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m server",
        description="Serve the zoo over REST.",
        epilog="Each option is also an environment variable, such as STRATA_PORT; server/settings.py lists them all.",
    )
    parser.add_argument("command", nargs="?", choices=["new-token"], help="make a token instead of serving")
    for name, kind in (("host", str), ("port", int), ("zoo", Path), ("threads", int)):
        field = Settings.model_fields[name]
        parser.add_argument(f"--{name}", type=kind, help=field.description)
    for name, choices in (("provider", Provider), ("log-format", LogFormat)):
        field = Settings.model_fields[name.replace("-", "_")]
        parser.add_argument(f"--{name}", choices=get_args(choices), help=field.description)
    return parser


if __name__ == "__main__":
    sys.exit(main())
