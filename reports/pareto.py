"""Which stacks nothing else beats: time, peak memory and fidelity at once."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportReturnType=false
from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.comparison import MIN_EFFECT
from reports.facts import OUT_OF_THE_BOX
from reports.trade_offs import fidelity_words, trade_offs

if TYPE_CHECKING:
    from reports.runs import Runs
    from suite.record import Record

FEWEST_STACKS = 4
"""Among fewer there is little to be dominated by."""
MIN_EFFECT_DB = 1.0
"""Outputs whose PSNR differs by less are as good as each other."""

Row = dict[Any, Any]


@lru_cache(maxsize=4)
def pareto(runs: Runs) -> pd.DataFrame:
    """Rows of `trade_offs` with a known time, and which of them dominates each. Treat the frame as read-only.

    ``dominated_by`` is None for what nothing dominates; of several that do, it is the one with the least time x memory.
    ``same_output`` says whether an output is the workload's own to rounding, as found, or else as promised; ``changed_by`` are
    the techniques that may change it, with their arguments.
    """
    frame = trade_offs(runs)
    if frame.empty:
        return frame
    frame = frame.assign(relative_time=frame["relative_time"].astype(float))
    frame["relative_memory"] = frame["relative_memory"].astype(float)
    frame.loc[frame["stack"] == OUT_OF_THE_BOX, "relative_time"] = 1.0
    changed_by = {record.run_id: _approximations(record) for record in runs.records}
    frame["changed_by"] = frame["run_id"].map(changed_by)
    words = [fidelity_words(row) for row in frame.to_dict("records")]
    frame["output"] = words
    frame["same_output"] = [word == "itself" or word.startswith(("identical", "exact")) for word in words]
    frame = frame[frame["relative_time"].notna()]
    groups = [_judged(rows) for _, rows in frame.groupby("group", sort=False) if len(rows) >= FEWEST_STACKS]
    return pd.concat(groups, ignore_index=True) if groups else pd.DataFrame()


def _approximations(record: Record) -> str:
    applied = next((arm.optimizations for arm in record.arms if arm.name == "stack"), [])
    arguments = record.config.get("optimization") or {}
    return json.dumps([[one.name, arguments.get(one.name)] for one in applied if not one.exact], sort_keys=True)


def _judged(rows: pd.DataFrame) -> pd.DataFrame:
    found = rows.to_dict("records")
    product = lambda row: row["relative_time"] * row["relative_memory"]  # noqa: E731
    by = [min((other for other in found if dominates(other, row)), key=product, default=None) for row in found]
    return rows.assign(dominated_by=[None if other is None else other["stack"] for other in by])


def dominates(one: Row, other: Row) -> bool:
    """Whether `one` is no worse than `other` in all three, and better in one; what is within `MIN_EFFECT` is neither.

    A time is better only if the intervals lie apart, too. The workload's own output is better than any other. Outputs of
    unknown distance are as good as each other where the same techniques changed them, and else not comparable.
    """
    if not _as_good_an_output(one, other):
        return False
    effect = 1 + MIN_EFFECT
    if any(one[key] > effect * other[key] for key in ("relative_time", "relative_memory")):
        return False
    less_memory = effect * one["relative_memory"] < other["relative_memory"]
    return less_memory or _is_faster(one, other) or _better_output(one, other)


def _is_faster(one: Row, other: Row) -> bool:
    apart = _end(one, "time_high") < _end(other, "time_low")
    return apart and (1 + MIN_EFFECT) * one["relative_time"] < other["relative_time"]


def _end(row: Row, end: str) -> float:
    """The end of a time's interval; the time itself where it has none."""
    return row["relative_time"] if pd.isna(row[end]) else row[end]


def _as_good_an_output(one: Row, other: Row) -> bool:
    if one["same_output"] or other["same_output"]:
        return one["same_output"]
    if pd.isna(one["psnr_db"]) or pd.isna(other["psnr_db"]):
        return one["changed_by"] == other["changed_by"]
    return bool(one["psnr_db"] >= other["psnr_db"] - MIN_EFFECT_DB)


def _better_output(one: Row, other: Row) -> bool:
    if one["same_output"] or other["same_output"]:
        return not other["same_output"]
    return bool(one["psnr_db"] > other["psnr_db"] + MIN_EFFECT_DB)
