"""Precision, memory layout and compilers rung by rung: time, memory, fidelity and price."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from reports.precision_ladder import precision_ladder
from reports.table import factor, number, quantity, text

if TYPE_CHECKING:
    from reports.runs import Runs

SECTION, ORDER = "optimizations", 50
TITLE = "Precision ladder"
CAPTION = (
    "Half precision, memory layout and compilers beside the workload out of the box, alone and on top of each other. Time: "
    "median of quiet generations, and the median of the ratios of paired, interleaved trials with its 95 % interval; or "
    "estimates from bytes and peak FLOP/s of the number format, which know neither what a memory layout does inside a kernel "
    "nor what a compiler fuses. First: the very first generation, compilation included as far as the compiler's cache on disk "
    "did not save it (the record tells); it is no trial. Output: distance from the workload out of the box at the same seed. "
    "Price: of 1,000 images or videos on the machine that ran them, or that they were estimated for."
)
COLUMNS = (
    text("Workload", "group"),
    text("Built in", "precision"),
    text("Stack", "stack"),
    quantity("Time", "seconds", "s", ("seconds_low", "seconds_high")),
    factor("Time over out of the box", "relative_time", ("time_low", "time_high")),
    text("Verdict", "verdict"),
    quantity("First", "first_s", "s", unit_from="seconds"),
    quantity("Peak", "peak_bytes", "bytes"),
    factor("Peak over out of the box", "relative_memory"),
    text("Output", "output"),
    number("PSNR (dB)", "psnr_db"),
    number("SSIM", "ssim"),
    number("Relative L2 error", "relative_l2_error"),
    number("Of latents", "latent_relative_error"),
    number("USD per 1,000", "usd_per_1000"),
    text("Machine", "machine"),
    text("Time is", "time_is"),
    text("Outcome", "outcome"),
    text("Why", "reason"),
)


def build(runs: Runs) -> pd.DataFrame:
    """A row for each rung of each group; bytes, seconds and ratios."""
    return precision_ladder(runs)
