"""Tensors are copied to change their layout or type, which computes nothing."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from reports.breakdown import with_clock
from reports.findings.finding import Finding
from reports.units import percent, quantity

if TYPE_CHECKING:
    from reports.runs import Runs

ORDER, TITLE = 60, "Copies of layout and type"
MIN_SHARE = 0.05
THRESHOLD = "5 % of the time"
COPIES = ("aten::copy_", "aten::clone", "aten::contiguous", "aten::_to_copy", "aten::to", "aten::_reshape_copy")


def find(runs: Runs) -> Iterator[Finding]:
    """Share of each run's time in operators that copy; oneDNN's reorders count as well."""
    rows = with_clock(runs, runs.operators_by_name)
    rows = rows[rows["clock"].notna()]
    copies = rows["operator"].isin(COPIES) | rows["operator"].astype(str).str.contains("reorder")
    for run_id, of_run in rows.groupby("run_id", observed=True, sort=False):
        whole, copied = of_run["seconds"].sum(), of_run[copies.loc[of_run.index]]
        share = float(copied["seconds"].sum() / whole) if whole else 0.0
        if share >= MIN_SHARE:
            names = copied.groupby("operator", observed=True)["seconds"].sum().sort_values(ascending=False)
            yield Finding(
                str(run_id),
                share,
                f"{percent(share)} of its {copied['clock'].iloc[0]} are copies, {names.index[0]} the most with "
                f"{quantity(names.iloc[0], 's')}.",
            )
