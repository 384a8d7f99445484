"""Published parameter counts, as data: what the inventory is held against."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Literal

import msgspec


class Published(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A published number of parameters, and how far it can be trusted."""

    parameters: float
    seen: Literal["authors", "computed", "recalled"]
    note: str | None = None
    of: tuple[str, ...] = ()
    """For a total: the parts that it is over."""

    @property
    def trust(self) -> str:
        """How it was seen, as people read it."""
        return "reported, not verified" if self.seen == "recalled" else self.seen


def published(workload: str, part: str) -> Published | None:
    """What was published for a part of a workload at its published dimensions, if anything."""
    return _all().get(workload, {}).get(part)


def every_published() -> dict[tuple[str, str], Published]:
    """All of them by workload and part."""
    return {(workload, part): found for workload, parts in _all().items() for part, found in parts.items()}


@cache
def _all() -> dict[str, dict[str, Published]]:
    text = resources.files("reports.claims").joinpath("architecture.yaml").read_bytes()
    return msgspec.yaml.decode(text, type=dict[str, dict[str, Published]])
