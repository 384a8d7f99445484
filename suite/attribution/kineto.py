"""From a trace to tables: who spent the time, on what, in which stage, step and module."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from suite.attribution.trace import Trace


@dataclass(frozen=True, slots=True)
class Attribution:
    """What a trace says, as tables of `suite.record.TABLES`, with the totals that the tables must add up to."""

    operators: pa.Table
    attention: pa.Table
    memory: pa.Table | None
    memory_peaks: pa.Table | None
    span_s: float
    num_events: int
    operators_without_flops: list[str]


def attribute(trace: Trace, *, num_frames: int | None = None, weights_bytes: int | None = None) -> Attribution:
    """Reduce a trace to tables."""
    raise NotImplementedError
