"""What the address of a bundle may be: a folder, https://..., or hf://owner/repo."""

from __future__ import annotations

import os
from pathlib import Path

from model_zoo.folder import Folder
from model_zoo.hub import Hub
from model_zoo.place import Place, PlaceError
from model_zoo.web import Web

TOKEN = "STRATA_ZOO_TOKEN"  # environment variable; the Hub's client has its own


def place_of(address: str) -> Place:
    """The place at `address`. Raises PlaceError where it is no such address."""
    scheme, separator, _ = address.partition("://")
    if not separator:
        return Folder(Path(address))
    if scheme in ("https", "http"):
        return Web(address, os.environ.get(TOKEN))
    if scheme == "hf":
        return Hub(address)
    raise PlaceError(f"{address}: a bundle is in a folder, at https://... or at hf://owner/repo[@revision][/path]")
