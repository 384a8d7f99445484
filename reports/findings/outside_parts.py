"""Much of a step is none of the denoiser: the scheduler, guidance, draws, and Python between them."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from reports.breakdown import shares_of, timed_names
from reports.findings.finding import Finding
from reports.style import readable
from suite.stage import STEP_STAGES
from suite.units import percent

if TYPE_CHECKING:
    from reports.runs import Runs

ORDER, TITLE = 30, "Scheduler and glue in the step"
MIN_SHARE = 0.05
THRESHOLD = "5 % of the steps"


def find(runs: Runs) -> Iterator[Finding]:
    """Share of the steps of each run that lies in no part."""
    rows = timed_names(runs)
    rows = rows[rows["stage"].isin(STEP_STAGES)]
    between = rows[rows["is_between_parts"]]
    shares = shares_of(rows, rows["is_between_parts"])
    longest = between.sort_values("seconds", ascending=False, kind="stable").drop_duplicates("run_id")
    for row in longest[longest["run_id"].isin(shares.index[shares >= MIN_SHARE])].to_dict("records"):
        share = float(shares[row["run_id"]])
        yield Finding(
            row["run_id"],
            share,
            f"{percent(share)} of {readable(row['stage'])}'s {row['clock']} lies between the parts, the most of it in "
            f"{row['operator']}.",
        )
