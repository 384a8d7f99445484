"""Much of a step is none of the denoiser: the scheduler, guidance, draws, and Python between them."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from reports.breakdown import with_clock
from reports.findings.finding import Finding
from reports.style import readable
from reports.units import percent
from suite.stage import STEP_STAGES

if TYPE_CHECKING:
    from reports.runs import Runs

ORDER, TITLE = 30, "Scheduler and glue in the step"
MIN_SHARE = 0.05
THRESHOLD = "5 % of the steps"


def find(runs: Runs) -> Iterator[Finding]:
    """Share of the steps of each run that lies in no part."""
    rows = with_clock(runs, runs.operators_by_name)
    rows = rows[rows["stage"].isin(STEP_STAGES) & rows["clock"].notna()]
    for run_id, of_run in rows.groupby("run_id", observed=True, sort=False):
        whole, between = of_run["seconds"].sum(), of_run[of_run["is_between_parts"]]
        share = float(between["seconds"].sum() / whole) if whole else 0.0
        if share >= MIN_SHARE:
            most = between.loc[between["seconds"].idxmax()]
            yield Finding(
                str(run_id),
                share,
                f"{percent(share)} of {readable(most['stage'])}'s {most['clock']} lies between the parts, the most of it in "
                f"{most['operator']}.",
            )
