"""Floating-point operations by class, the rate achieved, and what has no formula."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportReturnType=false
from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from reports.breakdown import ESTIMATED, SEGMENTS, all_totals
from reports.comparison import identities
from reports.table import listing, quantity, share, text
from suite.units import AT_LEAST

if TYPE_CHECKING:
    from reports.runs import Runs

SECTION, ORDER = "time", 30
TITLE = "FLOPs"
CAPTION = (
    "Floating-point operations of a generation by class. Matrix FLOPs are those of matrix products and convolutions (a "
    "multiply-add is two), as torch's FlopCounterMode counts them; the share is of them, and the rate is them over the class's "
    "own measured time. Vector FLOPs are all others, but for what is fused into a matrix product, such as its bias: elements "
    "times operations of elementwise operators, reductions, norms and softmax. 0: every operator of the class is known to do "
    f"none. {AT_LEAST}: a lower bound, since some of its operators have no formula; they are named beside the run's total. A "
    "dash: not known."
)
COLUMNS = (
    text("Workload", "group"),
    text("Stack", "stack"),
    text("Class", "segment"),
    quantity("Matrix FLOPs", "flops", "flops", at_least="flops_is_least"),
    share("Share", "share"),
    quantity("Achieved", "flops_per_s", "flops_per_s", at_least="flops_is_least"),
    quantity("Vector FLOPs", "vector_flops", "flops", at_least="vector_flops_is_least"),
    listing("Operators without a formula", "without_formula"),
)

TOTAL = "all classes"
COUNTED = ("flops", "vector_flops")
_SUMS = ["seconds", *COUNTED, *(f"rows_without_{name}" for name in COUNTED)]


def build(runs: Runs) -> pd.DataFrame:
    """A row for each run and class, and one for the run's total; ``..._is_least`` marks sums that leave something out."""
    totals = all_totals(runs)
    if totals["flops"].isna().all():
        return pd.DataFrame()
    measured = totals["clock"].notna() & ~totals["clock"].astype(str).str.startswith(ESTIMATED)
    totals = totals.assign(seconds=totals["seconds"].where(measured))
    table = totals.groupby(["run_id", "segment"], observed=True)[_SUMS].sum().reset_index()
    whole = table.groupby("run_id", observed=True)[_SUMS].sum().reset_index()
    owner = table["run_id"].astype(object)
    table["share"] = table["flops"] / owner.map(whole.set_index("run_id")["flops"]).replace(0, np.nan)
    missing = {record.run_id: _without_formula(record.profile) for record in runs.records}
    whole = whole.assign(segment=TOTAL, share=1.0, without_formula=whole["run_id"].astype(object).map(missing))
    both = _known(pd.concat([table, whole], ignore_index=True).astype({"run_id": object}))
    rank = both["segment"].map({name: index for index, name in enumerate((*SEGMENTS, TOTAL))})
    return identities(runs).merge(both.loc[rank.sort_values(kind="stable").index], on="run_id", sort=False)


def _known(sums: pd.DataFrame) -> pd.DataFrame:
    """What sums with something left out tell: a lower bound where there is anything else, and nothing where there is not."""
    for name in COUNTED:
        is_partial = sums.pop(f"rows_without_{name}") > 0
        sums[name] = sums[name].astype(float).mask(is_partial & (sums[name] == 0))
        sums[f"{name}_is_least"] = is_partial & sums[name].notna()
    sums["share"] = sums["share"].where(sums["flops"].notna())
    has_rate = (sums["seconds"] > 0) & (sums["flops"] > 0)
    sums["flops_per_s"] = (sums["flops"] / sums["seconds"]).where(has_rate)
    return sums


def _without_formula(profile: object) -> str | None:
    names = getattr(profile, "operators_without_flops", [])
    return ", ".join(names) or None
