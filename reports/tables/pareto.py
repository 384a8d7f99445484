"""Which stacks nothing beats in time, memory and fidelity at once, and what beats the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from reports.pareto import pareto
from reports.table import factor, number, quantity, text

if TYPE_CHECKING:
    from reports.runs import Runs

SECTION, ORDER = "optimizations", 70
TITLE = "Time, memory and fidelity at once"
CAPTION = (
    "A stack is dominated by one that is no worse in time, peak memory and output and better in at least one of them. Times "
    "and memory within 2 % of each other, times whose intervals meet, and outputs within 1 dB are neither better nor worse. "
    "Outputs whose distance is not known are as good as each other where the same techniques changed them, and else not "
    "comparable; the workload's own betters any other."
)
COLUMNS = (
    text("Workload", "group"),
    text("Stack", "stack"),
    factor("Time over out of the box", "relative_time", ("time_low", "time_high")),
    factor("Peak over out of the box", "relative_memory"),
    quantity("Peak", "peak_bytes", "bytes"),
    text("Output", "output"),
    number("PSNR (dB)", "psnr_db"),
    text("Dominated by", "dominated_by"),
    text("Time is", "time_is"),
)


def build(runs: Runs) -> pd.DataFrame:
    """What nothing dominates first, the fastest of it above; then the rest."""
    frame = pareto(runs)
    if frame.empty:
        return frame
    keys = pd.DataFrame(
        {
            "group": pd.factorize(frame["group"])[0],
            "beaten": frame["dominated_by"].notna(),
            "time": frame["relative_time"],
        }
    )
    return frame.loc[keys.sort_values(list(keys), kind="stable").index].reset_index(drop=True)
