"""One class of operators takes most of the time: the one to work on."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportAttributeAccessIssue=false, reportCallIssue=false
from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from reports.breakdown import by_segment
from reports.findings.finding import Finding
from reports.style import readable
from suite.units import percent

if TYPE_CHECKING:
    from reports.runs import Runs

ORDER, TITLE = 50, "One operator class dominates"
MIN_SHARE = 0.5
THRESHOLD = "50 % of the time"


def find(runs: Runs) -> Iterator[Finding]:
    """The class of each run with most of its time; attention counts with its projections, and without them is told as well."""
    frame = by_segment(runs)
    if frame.empty:
        return
    frame = frame.assign(name=frame["segment"].where(~frame["segment"].str.startswith("attention"), "attention"))
    shares = frame.groupby(["run_id", "clock", "name"], sort=False)["share"].sum().reset_index()
    core = frame[frame["segment"] == "attention core"].set_index("run_id")["share"]
    for row in shares[shares["share"] >= MIN_SHARE].to_dict("records"):
        inner = (
            f" ({percent(core.get(row['run_id'], 0.0))} without its projections)" if row["name"] == "attention" else ""
        )
        yield Finding(
            row["run_id"],
            row["share"],
            f"{readable(row['name'])} takes {percent(row['share'])}{inner} of its {row['clock']}.",
        )
