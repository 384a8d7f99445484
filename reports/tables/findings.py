"""Findings: what stands out in these runs, with evidence and threshold."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false
from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from reports.comparison import in_order
from reports.exhibits import name_of
from reports.findings.finding import finding_modules
from reports.table import count, run_id, text

if TYPE_CHECKING:
    from reports.runs import Runs

SECTION, ORDER = "findings", 10
TITLE = "Findings"
CAPTION = (
    "What crossed a threshold, found by looking for the same signs in every run: of a workload's runs, the one with the "
    "largest value speaks."
)
COLUMNS = (
    text("Finding", "finding"),
    text("Workload", "group"),
    text("Stack", "stack"),
    text("Evidence", "evidence"),
    text("Threshold", "threshold"),
    count("Runs with it", "num_found"),
    count("of", "num_runs"),
    run_id("Run", "run_id"),
)


def build(runs: Runs) -> pd.DataFrame:
    """A row for each finding and group of runs; ``value`` is what was compared with the threshold."""
    ordered = in_order(runs)
    num_runs = ordered[ordered["is_complete"]].groupby("group").size()
    facts = ordered[["run_id", "group", "stack"]].assign(position=range(len(ordered)))
    rows = [
        {"name": name_of(module), "finding": module.TITLE, "threshold": module.THRESHOLD, "run_id": found.run_id}
        | {"value": found.value, "evidence": found.evidence}
        for module in finding_modules()
        for found in module.find(runs)
    ]
    if not rows:
        return pd.DataFrame()
    frame = pd.DataFrame(rows).merge(facts, on="run_id", how="left")
    keys = ["name", "group"]
    frame["num_found"] = frame.groupby(keys)["run_id"].transform("nunique")
    frame["num_runs"] = frame["group"].map(num_runs)
    # Of equal values the first run speaks, which is the baseline where that is among them.
    ranked = frame.sort_values(["value", "position"], ascending=[False, True], kind="stable")
    return frame.loc[sorted(ranked.drop_duplicates(keys).index)].drop(columns="position").reset_index(drop=True)
