"""Tensors are copied to change their layout or type, which computes nothing."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false
from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from reports.breakdown import shares_of, timed_names
from reports.findings.finding import Finding
from suite.units import percent, quantity

if TYPE_CHECKING:
    from reports.runs import Runs

ORDER, TITLE = 60, "Copies of layout and type"
MIN_SHARE = 0.05
THRESHOLD = "5 % of the time"
COPIES = ("aten::copy_", "aten::clone", "aten::contiguous", "aten::_to_copy", "aten::to", "aten::_reshape_copy")


def find(runs: Runs) -> Iterator[Finding]:
    """Share of each run's time in operators that copy; oneDNN's reorders count as well."""
    rows = timed_names(runs)
    copies = rows["operator"].isin([*COPIES, *(name for name in rows["operator"].unique() if "reorder" in str(name))])
    shares = shares_of(rows, copies)
    for run_id, copied in rows[copies & rows["run_id"].isin(shares.index[shares >= MIN_SHARE])].groupby(
        "run_id", observed=True, sort=False
    ):
        names = copied.groupby("operator", observed=True)["seconds"].sum().sort_values(ascending=False)
        yield Finding(
            str(run_id),
            float(shares[run_id]),
            f"{percent(shares[run_id])} of its {copied['clock'].iloc[0]} are copies, {names.index[0]} the most with "
            f"{quantity(names.iloc[0], 's')}.",
        )
