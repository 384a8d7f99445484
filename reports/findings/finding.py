"""What a finding is. A file of this package with a ``find`` is one; adding a finding is adding a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from reports.runs import Runs


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that stands out in one run."""

    run_id: str
    value: float
    """What was compared with the threshold; of several runs, the one with the largest value speaks."""
    evidence: str
    """A sentence with the numbers."""


class FindingModule(Protocol):
    """What a file of this package has."""

    ORDER: int
    TITLE: str
    """The finding in a few words."""
    THRESHOLD: str
    """From when on it is one."""
    find: Callable[[Runs], Iterator[Finding]]


def finding_modules() -> list[FindingModule]:
    """Every finding, in order."""
    from reports import findings
    from reports.exhibits import modules_in

    found = [module for module in modules_in(findings) if hasattr(module, "find")]
    return sorted(cast("list[Any]", found), key=lambda module: module.ORDER)
