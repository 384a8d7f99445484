"""Floating-point operations by class, the rate achieved, and what has no formula."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from reports.breakdown import ESTIMATED, SEGMENTS, all_totals
from reports.comparison import identities
from reports.table import listing, quantity, share, text

if TYPE_CHECKING:
    from reports.runs import Runs

SECTION, ORDER = "time", 30
TITLE = "FLOPs"
CAPTION = (
    "Floating-point operations of a generation by class (a multiply-add is two), and the rate over the class's own measured "
    "time. A dash is a class without any FLOP formula, not zero; operators of a run that have no formula are named beside its "
    "total, which is then a lower bound."
)
COLUMNS = (
    text("Workload", "group"),
    text("Stack", "stack"),
    text("Class", "segment"),
    quantity("FLOPs", "flops", "flops"),
    share("Share", "share"),
    quantity("Achieved", "flops_per_s", "flops_per_s"),
    listing("Operators without a formula", "without_formula"),
)

TOTAL = "all classes"


def build(runs: Runs) -> pd.DataFrame:
    """A row for each run and class, and one for the run's total."""
    totals = all_totals(runs)
    if totals["flops"].isna().all():
        return pd.DataFrame()
    measured = totals["clock"].notna() & ~totals["clock"].astype(str).str.startswith(ESTIMATED)
    totals = totals.assign(seconds=totals["seconds"].where(measured))
    grouped = totals.groupby(["run_id", "segment"], observed=True)
    table = grouped.agg(seconds=("seconds", "sum")).assign(flops=grouped["flops"].sum(min_count=1)).reset_index()
    whole = table.groupby("run_id", observed=True).agg(seconds=("seconds", "sum"), flops=("flops", "sum")).reset_index()
    table["share"] = table["flops"] / table["run_id"].astype(object).map(whole.set_index("run_id")["flops"]).replace(
        0, np.nan
    )
    missing = {record.run_id: _without_formula(record.profile) for record in runs.records}
    whole = whole.assign(segment=TOTAL, share=1.0, without_formula=whole["run_id"].astype(object).map(missing))
    both = pd.concat([table, whole], ignore_index=True).astype({"run_id": object})
    both["flops_per_s"] = (both["flops"] / both["seconds"]).where(both["seconds"] > 0)
    rank = both["segment"].map({name: index for index, name in enumerate((*SEGMENTS, TOTAL))})
    return identities(runs).merge(both.loc[rank.sort_values(kind="stable").index], on="run_id", sort=False)


def _without_formula(profile: object) -> str | None:
    names = getattr(profile, "operators_without_flops", [])
    return ", ".join(names) or None
