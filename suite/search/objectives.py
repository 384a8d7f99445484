"""What a search weighs: seconds, bytes and the distance of the output, all the less the better, read from a run's record."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from suite.record import Record
from suite.record_folder import load_table
from suite.statistics import median_interval, paired_ratio
from suite.steadiness import pairs_carry

OUTPUT_DISTANCE = "relative_l2_error"
ROUNDING = 1e-3
"""A distance below this is rounding, and as good as none; half precision stays below it."""


class Objectives(NamedTuple):
    """One run, weighed."""

    time: float
    """Over the workload out of the box where that was measured beside it, else seconds as estimated. Of pairs where their ratio
    is steady, else of the trials that either arm counts."""
    peak_bytes: float
    """Of the whole generation, weights included."""
    distance: float | None
    """Of the output from the workload's own, relative; None where nothing was computed."""


def objectives(record: Record, folder: Path) -> Objectives | None:
    """A finished run, weighed; None where time or memory is not known."""
    time, peak = _time(record, folder), _peak(folder)
    if record.outcome.status != "ok" or time is None or peak is None:
        return None
    return Objectives(time, peak, _distance(record))


def _time(record: Record, folder: Path) -> float | None:
    if record.execution != "measure":
        known = [one for one in load_table(folder, "operators")["estimated_s"].to_pylist() if one is not None]
        return sum(known) if known else None
    own, theirs = (record.latencies(arm, all_regimes=True) for arm in ("stack", "out_of_the_box"))
    if not own:
        return None
    both = own.keys() & theirs.keys()
    if not both:  # the workload out of the box itself has nothing beside it
        return 1.0 if not record.stack else median_interval(list(record.latencies().values())).median
    pairs = sorted(both)
    reference, candidate = [theirs[trial] for trial in pairs], [own[trial] for trial in pairs]
    if pairs_carry(reference, candidate):
        return 1 / paired_ratio(reference, candidate).median
    counted, beside = (list(record.latencies(arm).values()) for arm in ("stack", "out_of_the_box"))
    return median_interval(counted).median / median_interval(beside).median


def _peak(folder: Path) -> float | None:
    """Allocated bytes, or those of the process where no allocator tells."""
    whole = [peak for peak in load_table(folder, "memory_peaks").to_pylist() if peak["stage"] == "generate"]
    known = [peak[column] for column in ("allocated_bytes", "resident_bytes") for peak in whole]
    return next((value for value in known if value is not None), None)


def _distance(record: Record) -> float | None:
    if record.execution != "measure":
        return None
    if not record.stack:
        return 0.0
    found = [one.value for one in record.samples if (one.metric, one.arm) == (OUTPUT_DISTANCE, "stack")]
    return None if not found else 0.0 if found[0] < ROUNDING else found[0]
