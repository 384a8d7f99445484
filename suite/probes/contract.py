"""What a probe is: an observer that makes its own pass over a subject and returns what it saw.

A probe changes no output and names no workload. Two probes that would disturb each other never share a pass; those that read
the same profile share it through `Subject.profile`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from suite.record import Energy, MachineState, ProbeCost, Profile, Sample
from suite.subject import Subject


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What a probe adds to the record. Raw values in SI units."""

    samples: list[Sample] = field(default_factory=list)
    tables: Mapping[str, pa.Table] = field(default_factory=dict)
    profile: Profile | None = None
    energy: Energy | None = None
    attention_disagreements: list[str] = field(default_factory=list)
    cost: ProbeCost | None = None
    machine_states: tuple[MachineState, MachineState] | None = None
    """Before its trials and after them."""


class Probe(Protocol):
    """Its arguments are what its YAML lists.

    A probe of what a simulation cannot know, and that nobody gets without asking for it, says so in a class attribute
    ``not_simulated``: a clause, the reason. One that is merely missing there has ``simulated_facts``, fields of the record that
    say so. One that cannot observe everywhere may have ``require(placement)``, which raises `UnsupportedError`: it is asked
    before a workload is built, which may take all of a machine's memory.
    """

    def observe(self, subject: Subject) -> Observation: ...
