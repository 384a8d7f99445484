"""What changed from one set of runs to another: which runs belong together, by how much each number differs, and whether
that is more than noise.
"""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportReturnType=false
from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.breakdown import timed_totals
from reports.comparison import NOT_QUIET, doubt_of, quiet_latencies
from reports.facts import OUT_OF_THE_BOX, device_name, reference_label
from reports.table import factor, share, text
from suite.statistics import MIN_VALUES, Interval, paired_ratio, unpaired_ratio
from suite.steadiness import pairs_carry
from suite.units import quantity

if TYPE_CHECKING:
    from reports.runs import Runs
    from suite.record import Record

SECTION, TITLE = "optimizations", "Changes"
CAPTION = (
    "Every number of B over that of A. A latency's interval is a paired one where B's run interleaved A's stack with its own, "
    "and else made of both runs' own intervals, which know nothing of what differs between two processes. Where a machine was "
    "not quiet pairs alone decide. Memory and simulated numbers are single values without noise. A change is real when all of "
    "its interval is beyond the threshold."
)
COLUMNS = (
    text("Run", "run"),
    text("Number", "metric"),
    text("A", "before_words"),
    text("B", "after_words"),
    factor("B over A", "ratio", ("low", "high")),
    share("Threshold", "threshold"),
    text("Verdict", "verdict"),
    text("Why", "why"),
)

WORSE, BETTER, SAME, UNCLEAR, CHANGED = "worse", "better", "same", "unclear", "changed"
DEFAULT_EFFECT = 0.02
"""Differences within 2 % count as none where the user names no threshold."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A number of a run that is better the smaller it is, and the unit it is read in."""

    base: str
    values: Callable[[Runs, str], list[float]]
    """Of one run: its trials, or one value without noise."""


def pairs(before: Runs, after: Runs) -> tuple[list[tuple[Record, Record]], list[str]]:
    """Runs of `before` and `after` that belong together, and a sentence for each run without a partner.

    One run on each side belong together whatever they are. Of several, those of the same workload, scale, execution, request,
    precision, machine and stack do.
    """
    if len(before) == len(after) == 1:
        return [(before.records[0], after.records[0])], []
    sides = [{_key(record): record for record in runs.records} for runs in (before, after)]
    found = [(record, sides[1][key]) for key, record in sides[0].items() if key in sides[1]]
    alone = [
        f"{record.name} is in {side} alone"
        for side, mine, other in (("A", sides[0], sides[1]), ("B", sides[1], sides[0]))
        for key, record in mine.items()
        if key not in other
    ]
    return found, alone


def changes(before: Runs, after: Runs, thresholds: Mapping[str, float]) -> pd.DataFrame:
    """A row for each pair of runs and each number that both have; ``verdict`` is worse, better, same or unclear."""
    rows = [row for pair in pairs(before, after)[0] for row in _rows(before, after, *pair, thresholds)]
    return pd.DataFrame(rows, columns=None if rows else ["run", "metric", "verdict", "threshold"])


def _rows(
    before: Runs, after: Runs, old: Record, new: Record, thresholds: Mapping[str, float]
) -> Iterator[dict[str, Any]]:
    steps = f"{new.workload.name}: {old.label} to {new.label}"
    named = {"run": new.name if old.label == new.label else steps}
    if old.outcome.status != new.outcome.status or old.outcome.status != "ok":
        words = {"before_words": old.outcome.status, "after_words": new.outcome.status, "ratio": None}
        verdict = WORSE if old.outcome.status == "ok" else SAME if new.outcome.status == old.outcome.status else CHANGED
        yield named | words | {"metric": "outcome", "verdict": verdict, "why": new.outcome.reason}
        return
    elsewhere = _elsewhere(old, new)
    for name, metric in METRICS.items():
        values = metric.values(before, old.run_id), metric.values(after, new.run_id)
        if not all(values):
            continue
        ratio, how, doubt = _ratio(name, *values, after, old, new)
        threshold = thresholds.get(name)
        verdict, why = _verdict(ratio, DEFAULT_EFFECT if threshold is None else threshold, how, doubt)
        middle = [float(pd.Series(part).median()) for part in values]
        yield named | {
            "metric": name,
            "before_words": quantity(middle[0], metric.base),
            "after_words": quantity(middle[1], metric.base),
            "before": middle[0],
            "after": middle[1],
            "ratio": ratio.median,
            "low": ratio.low if ratio.high > ratio.low else None,
            "high": ratio.high if ratio.high > ratio.low else None,
            "threshold": threshold,
            "verdict": verdict,
            "why": f"{why}; {elsewhere}" if elsewhere else why,
        }


def _ratio(
    name: str, before: list[float], after: list[float], runs: Runs, old: Record, new: Record
) -> tuple[Interval, str, str | None]:
    """B over A with an interval, where the interval comes from, and why it decides nothing, if that is so."""
    if name != "latency":
        value = after[0] / before[0]
        return Interval(value, value, value, MIN_VALUES, 1.0), "a single value", None
    arm = arm_of(old, new)
    if arm is not None:
        trials = quiet_latencies(runs, all_regimes=True)
        trials = trials[trials["run_id"] == new.run_id]
        both = trials.pivot_table(index="trial", columns="arm", values="value", aggfunc="first", observed=True)
        both = both[["stack", arm]].dropna() if {"stack", arm} <= set(both.columns) else both.iloc[:0]
        if len(both):
            own, beside = both["stack"].to_numpy(), both[arm].to_numpy()
            doubt = None if pairs_carry(own, beside) else "the pairs' ratio is not steady"
            how = f"{len(both)} paired trials in B{f', {NOT_QUIET}' if doubt_of(new) else ''}"
            return paired_ratio(own, beside), how, doubt
    unsteady = [side for side, record in (("A", old), ("B", new)) if doubt_of(record)]
    doubt = f"{' and '.join(unsteady)} ran {NOT_QUIET}" if unsteady else None
    return unpaired_ratio(before, after), f"{len(before)} and {len(after)} trials", doubt


def arm_of(old: Record, new: Record) -> str | None:
    """The arm of `new` in which it ran the stack of `old` interleaved with its own; None where it did not."""
    if old.label == new.label or _key(old)[:-1] != _key(new)[:-1]:
        return None
    if old.label == reference_label(new):
        return "reference"
    return "out_of_the_box" if old.label == OUT_OF_THE_BOX else None


def _verdict(ratio: Interval, threshold: float, how: str, doubt: str | None) -> tuple[str, str]:
    if doubt:
        return UNCLEAR, f"{how}: {doubt}"
    if ratio.num_values < MIN_VALUES:
        return UNCLEAR, f"{how}: too few to tell a difference from noise"
    if ratio.low > 1 + threshold:
        return WORSE, how
    if ratio.high < 1 / (1 + threshold):
        return BETTER, how
    if ratio.low >= 1 / (1 + threshold) and ratio.high <= 1 + threshold:
        return SAME, how
    return UNCLEAR, f"{how}: the noise covers the threshold"


def _elsewhere(old: Record, new: Record) -> str:
    devices = [device_name(record.environment) for record in (old, new)]
    if old.execution == "simulate" or devices[0] == devices[1]:
        return ""
    return f"A ran on {devices[0]}, B on {devices[1]}"


def _key(record: Record) -> tuple[str, ...]:
    """What a run is, its stack last."""
    device, machine = record.config.get("device"), record.environment.get("machine")
    request = record.config.get("request") or record.request
    return (
        record.workload.name, str(record.workload.scale), record.execution, json.dumps(request, sort_keys=True, default=str),
        str(device.get("precision") if isinstance(device, Mapping) else None),
        str(machine.get("name") if isinstance(machine, Mapping) else None), record.label,
    )  # fmt: skip


def _latency(runs: Runs, run_id: str) -> list[float]:
    trials = quiet_latencies(runs)
    return [float(value) for value in trials[(trials["run_id"] == run_id) & (trials["arm"] == "stack")]["value"]]


def _peak(column: str) -> Callable[[Runs, str], list[float]]:
    def values(runs: Runs, run_id: str) -> list[float]:
        peaks = runs.memory_peaks
        if peaks.empty:
            return []
        found = peaks[(peaks["run_id"] == run_id) & (peaks["stage"] == "generate")][column].dropna()
        return [float(value) for value in found if value > 0][:1]

    return values


def _total(column: str) -> Callable[[Runs, str], list[float]]:
    def values(runs: Runs, run_id: str) -> list[float]:
        totals = runs.operator_totals if column == "flops" else timed_totals(runs)
        if totals.empty:
            return []
        rows = totals[totals["run_id"] == run_id]
        if column == "estimated_s":
            rows = rows[rows["clock"].astype(str).str.startswith("estimated")]
        whole = float(rows[column].sum())
        return [whole] if whole > 0 else []

    return values


METRICS: Mapping[str, Metric] = {
    "latency": Metric("s", _latency),
    "estimated_time": Metric("s", _total("estimated_s")),
    "peak_allocated": Metric("bytes", _peak("allocated_bytes")),
    "peak_reserved": Metric("bytes", _peak("reserved_bytes")),
    "peak_device": Metric("bytes", _peak("device_bytes")),
    "peak_resident": Metric("bytes", _peak("resident_bytes")),
    "flops": Metric("flops", _total("flops")),
}
"""What can be compared, by the name that ``--fail-over`` takes."""
