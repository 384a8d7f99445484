"""Attention: every call in time order, with its lengths, its kind and the kernel that really ran."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from suite.probes.contract import Observation
from suite.subject import Subject


@dataclass(frozen=True)
class Attention:
    """The attention table of the run's own arm, read from the same profiled generation as the operators."""

    def observe(self, subject: Subject) -> Observation:
        subject.say("attention, profiled pass")
        attention = subject.profile().attribution.attention
        found = disagreements(attention, subject.workload.temporal_lengths)
        return Observation(tables={"attention": attention}, attention_disagreements=found)


def disagreements(attention: pa.Table, temporal_lengths: Sequence[int]) -> list[str]:
    """Calls whose shape contradicts the kind that the workload's rules gave them, one sentence a distinct case.

    Temporal attention sees as many positions as the workload says (`Workload.temporal_lengths`); spatial, temporal and joint
    attention are self-attention, whose queries are as many as its keys; causal attention never has more queries than keys;
    and a call of no kind at all is one that the rules do not know.
    """
    columns = ("attention_kind", "module", "query_length", "key_length")
    cases = sorted({tuple(row[name] for name in columns) for row in attention.to_pylist()}, key=str)
    found = []
    for kind, module, query_length, key_length in cases:
        complaint = _complaint(kind, query_length, key_length, temporal_lengths)
        if complaint:
            found.append(f"{module}: {complaint} ({query_length} queries, {key_length} keys)")
    return found


def _complaint(kind: str | None, query_length: int, key_length: int, temporal_lengths: Sequence[int]) -> str | None:
    if kind is None:
        return "attention of a kind that no rule declares"
    if kind == "temporal" and temporal_lengths and query_length not in temporal_lengths:
        return f"declared temporal, yet its length is not the {' or '.join(map(str, temporal_lengths))} frames"
    if kind in ("spatial", "temporal", "joint") and query_length != key_length:
        return f"declared {kind}, yet queries and keys differ in number"
    if kind == "causal" and query_length > key_length:
        return "declared causal, yet it has more queries than keys"
    return None
