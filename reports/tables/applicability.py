"""Which optimizations apply to which workload: a matrix of outcomes."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportAttributeAccessIssue=false, reportReturnType=false
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.comparison import in_order
from reports.facts import OUT_OF_THE_BOX
from reports.table import Column, text

if TYPE_CHECKING:
    from reports.runs import Runs
    from suite.record import Record

SECTION, ORDER = "outcomes", 5
TITLE = "What applies to what"
CAPTION = (
    "How every optimization ended on every workload, and why where that is not ok. Same operators: it ran, with as many calls "
    "and FLOPs of every class that computes, in every stage, as the workload out of the box. A dash: not asked for."
)
STACK = "stack"
"""The arm that a run is about."""
SAME_OPERATORS = "same operators"
WHY = "why"


def columns(frame: pd.DataFrame) -> list[Column]:
    """One for each stack that was run."""
    stacks = [name for name in frame.columns if name not in ("group", WHY)]
    return [text("Workload", "group"), *(text(name, name) for name in stacks), text("Why", WHY)]


def build(runs: Runs) -> pd.DataFrame:
    """A row for each group, a column for each stack; out of the box only where that went wrong."""
    records = {record.run_id: record for record in runs.records}
    operators = _operators(runs)
    rows: list[dict[str, Any]] = []
    for group, of_group in in_order(runs).groupby("group", sort=False):
        found = [records[run_id] for run_id in of_group["run_id"]]
        boxes = [record.run_id for record in found if record.label == OUT_OF_THE_BOX and record.outcome.status == "ok"]
        box = operators.get(boxes[0]) if boxes else None
        cells: dict[str, list[str]] = {}
        why: dict[str, None] = {}
        for record in found:
            if record.run_id not in boxes:
                same = box is not None and operators.get(record.run_id) == box
                cells.setdefault(record.label, []).append(_cell(record, same))
                why |= dict.fromkeys(_reasons(record))
        told = {stack: ", ".join(dict.fromkeys(words)) for stack, words in cells.items()}
        rows += [{"group": group} | told | {WHY: "; ".join(why) or None}] if told else []
    frame = pd.DataFrame(rows)
    return frame if frame.empty else frame[["group", *sorted(set(frame.columns) - {"group", WHY}), WHY]]


def _cell(record: Record, same_operators: bool) -> str:
    """How a run ended; an optimization of several parts without those that have no meaning there."""
    if record.outcome.status != "ok":
        return record.outcome.status.replace("_", " ")
    word = SAME_OPERATORS if same_operators else "ok"
    missing = ", ".join(_left_out(record))
    return f"{word} without {missing}" if missing else word


def _reasons(record: Record) -> list[str]:
    if record.outcome.status != "ok":
        return [f"{record.label}: {record.outcome.reason}"]
    return [f"{part}: {reason}" for part, reason in _left_out(record).items()]


def _left_out(record: Record) -> dict[str, str]:
    applied = [each for arm in record.arms if arm.name == STACK for each in arm.optimizations]
    return {part: reason for each in applied for part, reason in each.left_out.items()}


def _operators(runs: Runs) -> dict[str, dict[Any, Any]]:
    """Calls and FLOPs of each run's operators by stage and class, but for those that compute nothing.

    Views and copies may come and go with no work divided, and what lies between operators is none.
    """
    totals = runs.operator_totals
    if totals.empty:
        return {}
    totals = totals[~totals["operator_class"].astype(str).isin(["data_movement", "other"])]
    keys = [totals[name].astype(str) for name in ("run_id", "stage", "operator_class")]
    sums = totals.groupby(keys)[["calls", "flops"]].sum()
    found: dict[str, dict[Any, Any]] = {}
    for run_id, stage, operator_class, calls, flops in sums.to_records():
        found.setdefault(run_id, {})[stage, operator_class] = (calls, flops)
    return found
