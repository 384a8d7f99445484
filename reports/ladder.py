"""Techniques added one by one: runs whose stacks extend each other, each beside the first and beside the one before it."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportReturnType=false
from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.changes import arm_of
from reports.comparison import doubt_of, in_order, machine_words, quiet_latencies
from reports.estimates import estimates
from reports.memory import stage_peaks
from suite.estimates import chosen_machine
from suite.statistics import Interval, paired_ratio, unpaired_ratio

if TYPE_CHECKING:
    from reports.runs import Runs
    from suite.record import Record

GROUND = ("baseline_attention",)
"""The stack that stands for none: math attention is what a technique is added to."""
FEWEST_RUNGS = 3
"""Two runs are a comparison, and no ladder."""

Stack = tuple[str, ...]


@lru_cache(maxsize=4)
def ladders(runs: Runs) -> pd.DataFrame:
    """A row for each rung of each group's longest ladder, from the ground up. Treat it as read-only.

    A rung's stack begins with all of the rung before it; ``added`` is what it has besides. ``relative_time`` and
    ``relative_memory`` (peak bytes) are over the first rung, ``step_time`` and ``step_memory`` over the last one that ran; the
    times with 95 % intervals where they were measured; ``machine`` says where it was not quiet. A rung that did not run has its
    ``outcome`` and ``reason`` alone.
    """
    records = {record.run_id: record for record in runs.records}
    rows = [
        row
        for _, group in in_order(runs).groupby("group", sort=False)
        for row in _climbed(runs, [records[run_id] for run_id in group["run_id"]])
    ]
    if not rows:
        return pd.DataFrame()
    times = [f"{prefix}_{end}" for prefix in ("relative", "step") for end in ("time", "low", "high")]
    frame = pd.DataFrame(rows)
    frame = frame.reindex(columns=[*dict.fromkeys([*frame.columns, *times])])
    frame[times] = frame[times].astype(float)
    known = in_order(runs)[["run_id", "group", "workload"]]
    return known.merge(frame, on="run_id").sort_values(["group", "rung"], kind="stable").reset_index(drop=True)


def longest_chain(stacks: Sequence[Stack]) -> list[Stack]:
    """The longest chain of different stacks of which each begins with the one before it; of several the first found."""
    distinct = list(dict.fromkeys(stacks))
    chains = [[stack for stack in distinct if stack == top[: len(stack)]] for top in distinct]
    return sorted(max(chains, key=len, default=[]), key=len)


def _climbed(runs: Runs, records: Sequence[Record]) -> list[dict[str, Any]]:
    """The rungs of one group; none where they are too few, or where the ground did not run."""
    # Of math attention and the workload out of the box, which are no technique both, the former is the ground if it ran.
    preferred_last = sorted(records, key=lambda record: (record.outcome.status == "ok", _is_ground(record)))
    by_stack = {_techniques(record): record for record in preferred_last}
    chain = longest_chain(list(by_stack))
    first = by_stack[chain[0]] if chain else None
    if len(chain) < FEWEST_RUNGS or chain[0] or first is None or first.outcome.status != "ok":
        return []
    rows: list[dict[str, Any]] = []
    below = first
    for rung, stack in enumerate(chain):
        record = by_stack[stack]
        row = {"run_id": record.run_id, "rung": rung, "outcome": record.outcome.status, "reason": record.outcome.reason}
        row["added"] = "+".join(stack[len(chain[rung - 1]) :]) if rung else record.label
        if record.outcome.status == "ok":
            row |= _beside(runs, record, first, below)
            below = record
        rows.append(row)
    return rows


def _techniques(record: Record) -> Stack:
    return () if _is_ground(record) else tuple(record.stack)


def _is_ground(record: Record) -> bool:
    return tuple(record.stack) == GROUND


def _beside(runs: Runs, record: Record, first: Record, below: Record) -> dict[str, Any]:
    peaks, seconds = _peaks(runs), _estimated(runs)
    peak = peaks.get(record.run_id, {})
    row: dict[str, Any] = {"peak_bytes": peak.get("peak_bytes"), "weights_bytes": peak.get("weights_bytes")}
    own_trials = _trials(runs, record, "stack")
    row["seconds"] = float(own_trials.median()) if len(own_trials) else seconds.get(record.run_id)
    row["machine"] = machine_words(doubt_of(record))
    row["time_is"] = "measured" if len(own_trials) else f"estimated, {chosen_machine(record).name}"
    for prefix, other in (("relative", first), ("step", below)):
        theirs = peaks.get(other.run_id, {}).get("peak_bytes")
        row[f"{prefix}_memory"] = row["peak_bytes"] / theirs if row["peak_bytes"] and theirs else None
        if len(own_trials):
            ratio = _measured(runs, record, first, other)
            row |= {f"{prefix}_time": ratio.median, f"{prefix}_low": ratio.low, f"{prefix}_high": ratio.high}
        elif row["seconds"] and seconds.get(other.run_id):
            row[f"{prefix}_time"] = row["seconds"] / seconds[other.run_id]
    return row


def _measured(runs: Runs, record: Record, first: Record, other: Record) -> Interval:
    """Time of a run over that of another rung.

    Both ran beside the first rung in turns, if that was their reference or the workload out of the box: then drift between the
    two runs is in neither ratio. Of two ratios, each at the root of 95 %, both are held at once.
    """
    if record.run_id == other.run_id:
        return Interval(1.0, 1.0, 1.0, len(_trials(runs, record, "stack")), 1.0)
    if other.run_id == first.run_id:
        return _over_first(runs, record, first, 0.95)
    above, under = (_over_first(runs, one, first, math.sqrt(0.95)) for one in (record, other))
    return Interval(
        above.low / under.high,
        above.median / under.median,
        above.high / under.low,
        min(above.num_values, under.num_values),
        above.confidence * under.confidence,
    )


def _over_first(runs: Runs, record: Record, first: Record, confidence: float) -> Interval:
    arm = arm_of(first, record)
    own = _trials(runs, record, "stack", all_regimes=True)
    beside = _trials(runs, record, arm, all_regimes=True) if arm else own.iloc[:0]
    pairs = pd.concat([own, beside], axis="columns", join="inner").dropna()
    if len(pairs):
        return paired_ratio(pairs.iloc[:, 0].to_numpy(), pairs.iloc[:, 1].to_numpy(), confidence)
    return unpaired_ratio(
        _trials(runs, first, "stack").to_numpy(), _trials(runs, record, "stack").to_numpy(), confidence
    )


def _trials(runs: Runs, record: Record, arm: str, *, all_regimes: bool = False) -> pd.Series:
    """Seconds of an arm's quiet generations by trial."""
    found = quiet_latencies(runs, all_regimes=all_regimes)
    found = found[(found["run_id"] == record.run_id) & (found["arm"] == arm)]
    return found.set_index("trial")["value"]


def _peaks(runs: Runs) -> dict[str, dict[str, Any]]:
    peaks = stage_peaks(runs)
    whole = peaks[peaks["stage"] == "generate"] if len(peaks) else peaks
    return {row["run_id"]: row for row in whole.to_dict("records")}


def _estimated(runs: Runs) -> dict[str, float]:
    """Seconds of each simulated run on its own machine, where they are known."""
    found = estimates(runs)
    if found.empty:
        return {}
    mine = {record.run_id: chosen_machine(record).name for record in runs.records}
    found = found[found["machine"] == found["run_id"].map(mine)]
    return found.groupby("run_id")["seconds"].agg(lambda column: column.sum(skipna=False)).dropna().to_dict()
