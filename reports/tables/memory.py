"""Peak memory by stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from reports.memory import stage_peaks
from reports.table import factor, quantity, text

if TYPE_CHECKING:
    from reports.runs import Runs

SECTION, ORDER = "memory", 10
TITLE = "Peak memory"
CAPTION = (
    "Peak of each stage and of the whole generation, with the weights and activations that were live at it. The last column "
    "is the peak over that of the same stage of the group's baseline run; below 1 the stack needs less."
)
COLUMNS = (
    text("Workload", "group"),
    text("Stack", "stack"),
    text("Stage", "stage"),
    text("Counter", "counter"),
    quantity("Peak", "peak_bytes", "bytes"),
    quantity("Weights", "weights_bytes", "bytes", unit_from="peak_bytes"),
    quantity("Activations", "activations_bytes", "bytes", unit_from="peak_bytes"),
    factor("Peak over baseline", "relative"),
)


def build(runs: Runs) -> pd.DataFrame:
    """A row for each run and stage; bytes."""
    frame = stage_peaks(runs)
    if frame.empty:
        return frame
    columns = ["group", "stage", "counter", "peak_bytes"]
    baseline = frame.loc[frame["is_baseline"], columns].rename(columns={"peak_bytes": "baseline_bytes"})
    merged = frame.merge(baseline, on=columns[:3], how="left", sort=False)
    merged["relative"] = merged["peak_bytes"] / merged["baseline_bytes"]
    return merged.drop(columns="baseline_bytes")
