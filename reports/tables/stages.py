"""Time by stage of a generation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from reports.comparison import stage_times
from reports.table import count, quantity, share, text

if TYPE_CHECKING:
    from reports.runs import Runs

SECTION, ORDER = "time", 5
TITLE = "Time by stage"
CAPTION = (
    "Time of each stage in one generation of the quiet pass, all its steps together: median over trials, its 95 % interval "
    "and share of the generation. The stages and the time between them make up the whole; denoiser_forward lies inside "
    "the steps."
)
COLUMNS = (
    text("Workload", "group"),
    text("Stack", "stack"),
    text("Stage", "stage"),
    count("Spans", "spans"),
    quantity("Median [95 % interval]", "median_s", "s", ("low_s", "high_s")),
    share("Share", "share"),
)


def build(runs: Runs) -> pd.DataFrame:
    """A row for each run and stage; seconds."""
    return stage_times(runs)
