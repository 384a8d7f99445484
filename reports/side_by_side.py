"""What the page needs to lay any two runs or groups side by side: of every finished run its numbers, raw and in words.

Intervals of single runs are each at the root of 95 %, so that a quotient of their ends holds both medians at once
(`suite.statistics.unpaired_ratio`); where a run interleaved the other's stack with its own, it knows a paired ratio. A paired
ratio that is unclear here is so on the page, and an unpaired one decides nothing where either machine was not quiet.
"""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportGeneralTypeIssues=false
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from reports.breakdown import ESTIMATED, by_segment
from reports.comparison import MIN_EFFECT, doubt_of, in_order, quiet_latencies, times_over
from reports.facts import OUT_OF_THE_BOX
from reports.memory import stage_peaks
from reports.style import readable
from suite.statistics import MIN_VALUES, median_interval
from suite.units import quantity, unit_for, with_interval

if TYPE_CHECKING:
    from reports.runs import Runs

Facts = dict[str, Any]


def side_by_side(runs: Runs) -> Facts | None:
    """The finished runs in order with what is known of each, and the rules of the verdict; None for fewer than two."""
    finished = in_order(runs)
    finished = finished[finished["is_complete"]]
    if len(finished) < 2:
        return None
    latency, paired = _latencies(runs), _paired(runs)
    doubtful = {record.run_id for record in runs.records if doubt_of(record)}
    values, classes = _values(runs), _classes(runs)
    rows = [
        {"id": run["run_id"][:8], "group": readable(run["group"]), "stack": readable(run["stack"]),
         "latency": latency.get(run["run_id"]), "paired": paired.get(run["run_id"], {}),
         "is_quiet": run["run_id"] not in doubtful,
         "values": values.get(run["run_id"], {}), "classes": classes.get(run["run_id"], {})}
        for run in finished.to_dict("records")
    ]  # fmt: skip
    return {"runs": rows, "min_effect": MIN_EFFECT, "min_values": MIN_VALUES}


def _latencies(runs: Runs) -> dict[str, Facts]:
    trials = quiet_latencies(runs)
    trials = trials[trials["arm"] == "stack"]
    found = {}
    for run_id, values in trials.groupby("run_id", observed=True)["value"]:
        interval = median_interval(values.to_numpy(), math.sqrt(0.95))
        ends = [_number(end) for end in (interval.median, interval.low, interval.high)]
        unit = unit_for([interval.median], "s")
        scaled = [None if end is None else end / unit.size for end in ends]
        found[str(run_id)] = {
            "ends": ends,
            "trials": interval.num_values,
            "words": f"{with_interval(*scaled)} {unit.symbol}",
        }
    return found


def _paired(runs: Runs) -> dict[str, dict[str, list[Any]]]:
    """Of every run its time over another stack's, by that stack: median, low, high, how many pairs, whether they decide."""
    found: dict[str, dict[str, list[Any]]] = {}
    for row in times_over(runs).to_dict("records"):
        for prefix, other in (("box", OUT_OF_THE_BOX), ("ref", row["reference"])):
            if pd.notna(row[f"{prefix}_time"]):
                ends = [row[f"{prefix}_{name}"] for name in ("time", "time_low", "time_high")]
                ratios = [None if pd.isna(end) else end for end in ends]
                pairs = [int(row[f"{prefix}_pairs"]), row[f"{prefix}_verdict"] != "UNCLEAR"]
                found.setdefault(row["run_id"], {})[readable(other)] = [*ratios, *pairs]
    return found


def _values(runs: Runs) -> dict[str, dict[str, Facts]]:
    """Single values without noise, by what they are called."""
    found: dict[str, dict[str, Facts]] = {}
    peaks = stage_peaks(runs)
    if len(peaks):
        for row in peaks[peaks["stage"] == "generate"].to_dict("records"):
            found.setdefault(row["run_id"], {})[f"peak of {row['counter']}"] = _told(row["peak_bytes"], "bytes")
    totals = runs.operator_totals
    if len(totals):
        for run_id, flops in totals.groupby("run_id", observed=True)["flops"].sum().items():
            if flops > 0:
                found.setdefault(str(run_id), {})["FLOPs"] = _told(flops, "flops")
    return found


def _classes(runs: Runs) -> dict[str, dict[str, Facts]]:
    """Seconds by operator class, and of all; named after the clock, since those of two clocks are not comparable."""
    frame = by_segment(runs)
    found: dict[str, dict[str, Facts]] = {}
    if frame.empty:
        return found
    for (run_id, clock), seconds in frame.groupby(["run_id", "clock"], sort=False)["seconds"].sum().items():
        found[str(run_id)] = {f"{clock} of all operators": _told(seconds, "s") | _noise(clock)}
    for run_id, clock, segment, seconds in frame[["run_id", "clock", "segment", "seconds"]].itertuples(index=False):
        found[run_id][f"{clock}, {readable(segment)}"] = _told(seconds, "s") | _noise(clock)
    return found


def _noise(clock: str) -> Facts:
    """One pass was profiled, and nothing tells how another would differ; an estimate is always the same."""
    return {"is_one_pass": not clock.startswith(ESTIMATED)}


def _told(value: float, base: str) -> Facts:
    return {"value": float(value), "words": quantity(float(value), base)}


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
