"""Events of a job as they come in, line by line (the format is WHATWG's server-sent events)."""

from __future__ import annotations

from app.client.answers import Job, Progress
from app.client.calls import read

LOST_IN_A_ROW = 3  # connections, without an event in between, before a server counts as gone


class EventReader:
    """Takes lines, gives what they say; remembers the last id, from which a lost connection can go on."""

    def __init__(self) -> None:
        self.last_id = "0"
        self._fields: dict[str, str] = {}

    def take(self, line: str) -> Progress | None:
        """The event that this line completes, if it does."""
        if line:
            name, _, value = line.partition(":")
            self._fields[name] = value.removeprefix(" ")
            return None
        fields, self._fields = self._fields, {}
        if "data" not in fields:
            return None
        self.last_id = fields.get("id", self.last_id)
        content = fields["data"].encode()
        progress = read(Progress, content)
        if fields.get("event") == "progress":
            return progress
        return progress.model_copy(update={"job": read(Job, content)})
