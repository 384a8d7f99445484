"""Latency of a generation: median with its interval, and paired ratios with a verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from reports.comparison import machine_words, times_over
from reports.table import count, factor, quantity, text

if TYPE_CHECKING:
    from reports.runs import Runs

SECTION, ORDER = "optimizations", 10
TITLE = "Latency"
CAPTION = (
    "Latency of one whole generation in the quiet pass: median of the trials with its 95 % interval. Times over others are "
    "medians of the ratios of paired, interleaved trials; below 1 the stack is faster. SAME: all of it is within 2 % of 1. "
    "UNCLEAR: the trials do not decide it. Machine not quiet: the trials were of more than one kind, or other work took cores; "
    "the findings tell the evidence, and trials that were set aside are not counted."
)
COLUMNS = (
    text("Workload", "group"),
    text("Stack", "stack"),
    count("Trials", "trials"),
    text("Machine", "machine"),
    quantity("Median [95 % interval]", "median_s", "s", ("low_s", "high_s")),
    quantity("Min", "min_s", "s", unit_from="median_s"),
    quantity("Max", "max_s", "s", unit_from="median_s"),
    factor("Time over out of the box", "box_time", ("box_time_low", "box_time_high")),
    text("Verdict", "box_verdict"),
    text("Reference", "reference"),
    factor("Time over reference", "ref_time", ("ref_time_low", "ref_time_high")),
    text("Verdict", "ref_verdict"),
)


def build(runs: Runs) -> pd.DataFrame:
    """A row for each finished run; seconds."""
    found = times_over(runs)
    return found.assign(machine=found["doubt"].map(machine_words)) if len(found) else found
