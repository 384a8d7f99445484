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

SECTION, ORDER = "outcomes", 5
TITLE = "What applies to what"
CAPTION = (
    "How every optimization ended on every workload, and why where that is not ok. Same operators: it ran, with as many calls "
    "and FLOPs of every class that computes, in every stage, as the workload out of the box. A dash: not asked for."
)
SAME_OPERATORS = "same operators"
WHY = "why"


def columns(frame: pd.DataFrame) -> list[Column]:
    """One for each stack that was run."""
    stacks = [name for name in frame.columns if name not in ("group", WHY)]
    return [text("Workload", "group"), *(text(name, name) for name in stacks), text("Why", WHY)]


def build(runs: Runs) -> pd.DataFrame:
    """A row for each group, a column for each stack; out of the box only where that went wrong."""
    stacks = {record.run_id: record.label for record in runs.records}
    operators = _operators(runs)
    rows: list[dict[str, Any]] = []
    for group, of_group in in_order(runs).groupby("group", sort=False):
        found = [run | {"stack": stacks[run["run_id"]]} for run in of_group.to_dict("records")]
        boxes = [run["run_id"] for run in found if run["stack"] == OUT_OF_THE_BOX and run["outcome"] == "ok"]
        box = operators.get(boxes[0]) if boxes else None
        cells: dict[str, list[str]] = {}
        why: dict[str, None] = {}
        for run in found:
            if run["run_id"] not in boxes:
                same = run["outcome"] == "ok" and box is not None and operators.get(run["run_id"]) == box
                cells.setdefault(run["stack"], []).append(SAME_OPERATORS if same else run["outcome"].replace("_", " "))
                why |= {f"{run['stack']}: {run['reason']}": None} if run["outcome"] != "ok" else {}
        told = {stack: ", ".join(dict.fromkeys(words)) for stack, words in cells.items()}
        rows += [{"group": group} | told | {WHY: "; ".join(why) or None}] if told else []
    frame = pd.DataFrame(rows)
    return frame if frame.empty else frame[["group", *sorted(set(frame.columns) - {"group", WHY}), WHY]]


def _operators(runs: Runs) -> dict[str, dict[Any, Any]]:
    """Calls and FLOPs of each run's operators by stage and class, but for those that compute nothing.

    Views and copies may come and go with no work divided, and what lies between operators is none.
    """
    totals = runs.operator_totals
    if totals.empty:
        return {}
    totals = totals[~totals["operator_class"].astype(str).isin(["data_movement", "other"])]
    keys = [totals[name].astype(str) for name in ("run_id", "stage", "operator_class")]
    sums = totals[["calls", "flops"]].groupby(keys).sum()
    return {str(run_id): rows.droplevel("run_id").to_dict("index") for run_id, rows in sums.groupby(level="run_id")}
