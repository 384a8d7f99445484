"""The peak of a run's memory: how much, and which stage holds it, so that savings elsewhere do not show."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

WHOLE = "generate"
BETWEEN_STAGES = "between stages"


@dataclass(frozen=True)
class Peak:
    """Most bytes at once, weights included."""

    size: int
    stages: tuple[str, ...]
    """Which reach it, several where they do alike; `BETWEEN_STAGES` where none does."""
    next: tuple[str, int] | None
    """The stage that would hold the peak if those did not, and its own bytes."""

    @property
    def holder(self) -> str:
        return " and ".join(self.stages)


def peak_of(memory_peaks: pa.Table, counter: str = "allocated") -> Peak | None:
    """The peak of one generation; None where the counter was not read.

    Args:
        memory_peaks: the table of that name (`suite.record_tables`).
        counter: ``allocated``, ``reserved``, ``device`` or ``resident``.
    """
    column = memory_peaks.column(f"{counter}_bytes").to_pylist()
    sizes = dict(zip(memory_peaks.column("stage").to_pylist(), column, strict=True))
    known: dict[str, int] = {stage: size for stage, size in sizes.items() if size is not None}
    if not known:
        return None
    most = max(known.values())
    stages = {stage: size for stage, size in known.items() if stage != WHOLE}
    holders = tuple(stage for stage, size in stages.items() if size == most)
    after = max(((size, stage) for stage, size in stages.items() if size < most), default=None)
    return Peak(most, holders or (BETWEEN_STAGES,), None if after is None else (after[1], after[0]))
