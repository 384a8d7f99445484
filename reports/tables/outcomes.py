"""How every run ended, and why."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportReturnType=false
from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from reports.comparison import in_order
from reports.table import run_id, text

if TYPE_CHECKING:
    from reports.runs import Runs

SECTION, ORDER = "outcomes", 10
TITLE = "Outcomes"
CAPTION = "How every run ended. Nothing that was asked for is left out, unreadable folders included."
COLUMNS = (
    text("Workload", "group"),
    text("Stack", "stack"),
    text("Outcome", "outcome"),
    text("Reason", "reason"),
    run_id("Run", "run_id"),
)


def build(runs: Runs) -> pd.DataFrame:
    """A row for each run, then one for each folder that is left out."""
    columns = ["group", "stack", "outcome", "reason", "run_id"]
    known = in_order(runs)[columns]
    left_out = [("unreadable", problem) for problem in runs.problems] + [("repeated", run) for run in runs.repeated]
    unread = pd.DataFrame([{"outcome": word, "reason": reason} for word, reason in left_out], columns=columns)
    return known if unread.empty else pd.concat([known, unread.astype(object)], ignore_index=True)
