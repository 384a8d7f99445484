"""Techniques added one by one: time and memory of every rung beside the first and the one before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from reports.ladder import ladders
from reports.table import count, factor, quantity, text

if TYPE_CHECKING:
    from reports.runs import Runs

SECTION, ORDER = "optimizations", 60
TITLE = "Techniques one by one"
CAPTION = (
    "The longest ladder of stacks of which each adds to the one before. Ratios of time and of peak memory over the first rung "
    "and over the rung before (of those that ran). Measured times: medians of paired trials with 95 % intervals where the "
    "first rung ran in turns with the others, also between two rungs, by way of the first; that interval is wider than need "
    "be. Machine not quiet: the findings tell the evidence; trials that were set aside are in pairs alone."
)
COLUMNS = (
    text("Workload", "group"),
    count("Rung", "rung"),
    text("Adds", "added"),
    quantity("Time", "seconds", "s"),
    factor("Time over first", "relative_time", ("relative_low", "relative_high")),
    factor("Time over the one before", "step_time", ("step_low", "step_high")),
    quantity("Peak", "peak_bytes", "bytes"),
    factor("Peak over first", "relative_memory"),
    factor("Peak over the one before", "step_memory"),
    text("Time is", "time_is"),
    text("Machine", "machine"),
    text("Outcome", "outcome"),
    text("Why", "reason"),
)


def build(runs: Runs) -> pd.DataFrame:
    """A row for each rung; bytes, seconds and ratios."""
    return ladders(runs)
