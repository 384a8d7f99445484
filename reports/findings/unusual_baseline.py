"""The stack that speed-ups are told against is slower than what users run."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportCallIssue=false
from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from reports.comparison import latencies
from reports.facts import OUT_OF_THE_BOX
from reports.findings.finding import Finding
from reports.ratios import pace
from reports.style import readable
from suite.units import TIMES

if TYPE_CHECKING:
    from reports.runs import Runs

ORDER, TITLE = 80, "The baseline is not what users run"
MIN_RATIO = 1.05
THRESHOLD = f"1.05{TIMES} apart, and intervals, too"


def find(runs: Runs) -> Iterator[Finding]:
    """Runs whose speed-up over the reference is larger than over the workload out of the box, with intervals apart."""
    frame = latencies(runs)
    if frame.empty:
        return
    both = frame[frame["ref_speedup"].notna() & frame["box_speedup"].notna() & (frame["reference"] != OUT_OF_THE_BOX)]
    for row in both.to_dict("records"):
        times = row["ref_speedup"] / row["box_speedup"]
        if times >= MIN_RATIO and row["ref_low"] > row["box_high"]:
            yield Finding(
                row["run_id"],
                times,
                f"it is {pace(1 / row['ref_speedup'])} than {readable(row['reference'])}, beside the workload out of the box "
                f"{pace(1 / row['box_speedup'])}.",
            )
