"""The device waits for the host: long pauses between kernels, or launches that take long."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from reports.findings.finding import Finding
from suite.units import percent, quantity

if TYPE_CHECKING:
    from reports.runs import Runs

ORDER, TITLE = 10, "Launch-bound stage"
MIN_SHARE, MIN_LATENCY_S = 0.05, 20e-6
THRESHOLD = "5 % of a stage in pauses of 100 us, or 20 us a launch"


def find(runs: Runs) -> Iterator[Finding]:
    """The stage of each run in which pauses are the largest share; of profiled runs with a device."""
    activity = runs.device_activity
    if activity.empty:
        return
    sums = ["num_kernels", "span_s", "num_long_gaps", "long_gaps_s"]
    stages = activity.assign(stage=activity["stage"].astype(object).fillna("the whole trace"))
    grouped = stages.groupby(["run_id", "stage"], observed=True, sort=False)
    totals = grouped[sums].sum().join(grouped["launch_latency_s"].median()).reset_index()
    totals["share"] = totals["long_gaps_s"] / totals["span_s"]
    for row in totals.sort_values("share", ascending=False).drop_duplicates("run_id").to_dict("records"):
        latency = row["launch_latency_s"]
        if row["share"] >= MIN_SHARE or latency > MIN_LATENCY_S:
            yield Finding(
                row["run_id"],
                row["share"],
                f"in {row['stage']} the device paused {row['num_long_gaps']:.0f} times for 100 us or longer, "
                f"{percent(row['share'])} of the time from its first to its last kernel; a launch takes "
                f"{quantity(latency, 's')}.",
            )
