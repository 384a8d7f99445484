"""What watching cost: one watched generation against a quiet one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from reports.comparison import identities
from reports.table import factor, quantity, text

if TYPE_CHECKING:
    from reports.runs import Runs

SECTION, ORDER = "outcomes", 20
TITLE = "What the probes cost"
CAPTION = (
    "One generation watched by each probe against the median quiet one. Latencies come from the quiet pass alone, so this "
    "slowdown is in none of them; it says how far the breakdowns were taken from undisturbed running."
)
COLUMNS = (
    text("Workload", "group"),
    text("Stack", "stack"),
    text("Probe", "probe"),
    quantity("Watched", "watched_s", "s"),
    quantity("Quiet", "quiet_s", "s", unit_from="watched_s"),
    factor("Watched over quiet", "slowdown"),
)


def build(runs: Runs) -> pd.DataFrame:
    """A row for each run and probe; seconds."""
    costs = [
        {"run_id": record.run_id, "probe": cost.probe, "watched_s": cost.watched_s, "quiet_s": cost.quiet_s}
        for record in runs.records
        for cost in record.probe_costs
    ]
    if not costs:
        return pd.DataFrame()
    frame = pd.DataFrame(costs).astype({"quiet_s": float})
    frame["slowdown"] = frame["watched_s"] / frame["quiet_s"]
    return identities(runs).merge(frame, on="run_id", sort=False)
