"""A run in half precision that computes much in float32 nevertheless."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from reports.findings.finding import Finding
from reports.style import readable
from suite.units import percent

if TYPE_CHECKING:
    from reports.runs import Runs

ORDER, TITLE = 70, "Float32 in a run of lower precision"
MIN_SHARE = 0.01
THRESHOLD = "1 % of the FLOPs"
LOW = ("float16", "bfloat16", "float8", "int8")


def find(runs: Runs) -> Iterator[Finding]:
    """Share of FLOPs in float32 of runs most of whose FLOPs are in a lower precision."""
    totals = runs.operator_totals
    known = totals[totals["flops"].notna() & (totals["flops"] > 0)].astype({"run_id": object})
    wide, low = (known[known["precision"].isin(names)] for names in (["float32"], LOW))
    whole = known.groupby("run_id")["flops"].sum()
    wide_share, low_share = (
        rows.groupby("run_id")["flops"].sum().reindex(whole.index, fill_value=0) / whole for rows in (wide, low)
    )
    for run_id in whole.index[(low_share > 0.5) & (wide_share >= MIN_SHARE)]:
        stages = wide[wide["run_id"] == run_id].groupby("stage", observed=True)["flops"].sum()
        yield Finding(
            str(run_id),
            float(wide_share[run_id]),
            f"{percent(wide_share[run_id])} of its FLOPs are in float32, most of them in {readable(str(stages.idxmax()))}; "
            f"{percent(low_share[run_id])} are in lower precision.",
        )
