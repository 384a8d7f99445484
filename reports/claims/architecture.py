"""Published parameter counts, as data: what the inventory is held against."""

from __future__ import annotations

from functools import cache
from importlib import resources

import msgspec


class Published(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A published number of parameters, and how far it can be trusted."""

    parameters: float
    seen: str
    """``authors``, ``computed`` or ``recalled``; the last reads as "reported, not verified"."""
    note: str | None = None
    of: tuple[str, ...] = ()
    """For a total: the parts that it is over."""


def published(workload: str, part: str) -> Published | None:
    """What was published for a part of a workload at its published dimensions, if anything."""
    found = _all().get(workload, {}).get(part)
    if found is not None and found.seen == "recalled":
        return msgspec.structs.replace(found, seen="reported, not verified")
    return found


@cache
def _all() -> dict[str, dict[str, Published]]:
    text = resources.files("reports.claims").joinpath("architecture.yaml").read_bytes()
    return msgspec.yaml.decode(text, type=dict[str, dict[str, Published]])
