"""A published number and what it takes to hold it against runs; sources of claims are found by listing their folder.

A source is a module of `reports.claims.sources`: its ``SOURCE``, and one function for each of its claims that runs can
check, of the claim's name. Adding a source is adding a file.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import ModuleType
from typing import Any, Literal, TypeAlias

import msgspec

Relation = Literal["up_to", "about", "over", "range", "exactly"]
Seen = Literal["abstract", "paper", "authors", "computed", "secondary", "recalled"]
Number: TypeAlias = float | list[float]

SEEN_WORDS: Mapping[str, str] = {
    "abstract": "the abstract",
    "paper": "the paper",
    "authors": "its authors' paper, repository or model card",
    "computed": "computed from the published configuration",
    "secondary": "a summary of the paper",
    "recalled": "reported, not verified",
}
"""How far a published number can be trusted, as people read it."""


class Claim(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One published number, or several of one kind under the names of their cases."""

    says: str
    """What is claimed, as a sentence without its end."""
    value: Number | dict[str, Number]
    relation: Relation = "about"
    models: tuple[str, ...] = ()
    """Workloads that a claim with a quantifier (the largest of, each of) is over. Runs of some of them can refute it; only runs
    of all of them can bear it out. Other workloads say nothing of it. Empty: a claim about one thing, or about its case.
    """
    unit: str = ""
    """``share``, ``times``, ``GiB``, ``s``, ``flops``, ``parameters``, or words that follow a bare number."""
    seen: Seen
    tolerance: float = 0.1
    """How far ours may be from it, relative to it."""
    checked_by: str
    """What of a run is held against it; for a claim without a check, why there is none."""
    command: str | None = None
    """Makes the runs that it takes; None where no run of ours can check it."""

    @property
    def cases(self) -> dict[str, Number]:
        """Published value by case; a claim that is one number has one case without a name."""
        return self.value if isinstance(self.value, dict) else {"": self.value}


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where claims were published, and on what they were measured."""

    title: str
    link: str | None = None
    hardware: str | None = None
    hardware_seen: Seen | None = None
    requests: dict[str, dict[str, Any]] = {}
    """Of a workload: the request that the claims are about; runs of other requests are another matter."""
    claims: dict[str, Claim]


@cache
def read_source(name: str) -> Source:
    """The source in ``reports/claims/sources/NAME.yaml``."""
    text = resources.files("reports.claims.sources").joinpath(f"{name}.yaml").read_bytes()
    return msgspec.yaml.decode(text, type=Source)


@cache
def source_modules() -> Mapping[str, ModuleType]:
    """Every source's module by name."""
    from reports.claims import sources

    names = sorted(module.name for module in pkgutil.iter_modules(sources.__path__))
    return {name: importlib.import_module(f"{sources.__name__}.{name}") for name in names}
