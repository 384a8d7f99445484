"""A run in half precision that computes much in float32 nevertheless."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from reports.findings.finding import Finding
from reports.style import readable
from reports.units import percent

if TYPE_CHECKING:
    from reports.runs import Runs

ORDER, TITLE = 70, "Float32 in a run of lower precision"
MIN_SHARE = 0.01
THRESHOLD = "1 % of the FLOPs"
LOW = ("float16", "bfloat16", "float8", "int8")


def find(runs: Runs) -> Iterator[Finding]:
    """Share of FLOPs in float32 of runs most of whose FLOPs are in a lower precision."""
    totals = runs.operator_totals
    known = totals[totals["flops"].notna() & (totals["flops"] > 0)]
    for run_id, of_run in known.groupby("run_id", observed=True, sort=False):
        by_precision = of_run.groupby("precision", observed=True)["flops"].sum()
        shares = by_precision / by_precision.sum()
        low = float(sum(shares.get(name, 0.0) for name in LOW))
        high = float(shares.get("float32", 0.0))
        if low > 0.5 and high >= MIN_SHARE:
            wide = of_run[of_run["precision"] == "float32"].groupby("stage", observed=True)["flops"].sum()
            yield Finding(
                str(run_id),
                high,
                f"{percent(high)} of its FLOPs are in float32, most of them in {readable(str(wide.idxmax()))}; "
                f"{percent(low)} are in lower precision.",
            )
