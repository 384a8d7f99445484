"""What each stack costs and buys: memory, time and fidelity, beside the workload out of the box."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from reports.table import factor, number, quantity, text
from reports.trade_offs import fidelity_words, trade_offs

if TYPE_CHECKING:
    from reports.runs import Runs

SECTION, ORDER = "optimizations", 30
TITLE = "Memory, time and fidelity"
CAPTION = (
    "Every stack beside the workload out of the box. Memory: peak of the whole generation, and what of it lives beside the "
    "weights. Time: median of the ratios of paired, interleaved trials with its 95 % interval, or a ratio of estimates; above "
    "1 the stack is slower. Output: exact stacks must reproduce it to rounding, and the largest error found, relative to the "
    "largest value, stands beside; of those that change it, the distance is told from the same seed, with random weights "
    "where no others were given."
)
COLUMNS = (
    text("Workload", "group"),
    text("Stack", "stack"),
    quantity("Peak", "peak_bytes", "bytes"),
    factor("Peak over out of the box", "relative_memory"),
    factor("Beside weights, over out of the box", "relative_beside"),
    factor("Time over out of the box", "relative_time", ("time_low", "time_high")),
    text("Verdict", "verdict"),
    text("Time is", "time_is"),
    text("Output", "output"),
    number("PSNR (dB)", "psnr_db"),
    number("SSIM", "ssim"),
    number("LPIPS", "lpips"),
    number("Relative L2 error", "relative_l2_error"),
    number("Of latents", "latent_relative_error"),
    text("Counter", "counter"),
)


def build(runs: Runs) -> pd.DataFrame:
    """A row for each finished run of a group that has one out of the box; bytes and ratios."""
    frame = trade_offs(runs)
    return frame if frame.empty else frame.assign(output=[fidelity_words(row) for row in frame.to_dict("records")])
