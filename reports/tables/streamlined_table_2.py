"""Ways to run half of the denoising steps in full, beside their published scores (Zhan et al. 2024, Table 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from reports.streamlined_quality import beside_published_scores
from reports.table import Column, count, factor, number, text
from suite.units import NONE

if TYPE_CHECKING:
    from reports.runs import Runs

SECTION, ORDER = "optimizations", 45
TITLE = "Skipped steps beside their published scores"
CAPTION = (
    "Published (Zhan et al. 2024, Table 2; of UCF-101 the originals as in Table 1): FVD, lower is better, and CLIP score, "
    "higher is better, of trained models with 13 full steps of 25. Ours: steps and those with at least half of the FLOPs "
    "of the costliest; FLOPs, time and peak memory over the workload out of the box; PSNR, SSIM and relative L2 error of the "
    "output, and that of the latents, to the output of all steps from the same seed. Ours have no FVD and no CLIP score, which "
    "need pretrained weights, sets of videos and networks of their own. Distances of random weights are not those of a trained "
    "model, and neither kind predicts a score."
)


def _printed(header: str, name: str) -> Column:
    """A score with as many decimals as it was published with."""
    decimals = 1 if name.endswith("fvd") else 2
    return Column(header, name, lambda row, _: NONE if pd.isna(row[name]) else f"{row[name]:.{decimals}f}")


COLUMNS = (
    text("Workload", "group"),
    text("Method", "stack"),
    _printed("Published: FVD, UCF-101", "published_ucf101_fvd"),
    _printed("CLIP, UCF-101", "published_ucf101_clip"),
    _printed("FVD, MSR-VTT", "published_msrvtt_fvd"),
    _printed("CLIP, MSR-VTT", "published_msrvtt_clip"),
    text("Ours: scale", "scale"),
    text("Weights", "weights"),
    count("Steps", "steps"),
    count("Full steps", "full_steps"),
    factor("FLOPs over out of the box", "relative_work"),
    factor("Time over out of the box", "relative_time", ("time_low", "time_high")),
    text("Time is", "time_is"),
    factor("Peak over out of the box", "relative_memory"),
    number("PSNR (dB)", "psnr_db"),
    number("SSIM", "ssim"),
    number("Relative L2 error", "relative_l2_error"),
    number("Of latents", "latent_relative_error"),
    text("FVD and CLIP of ours", "own_scores"),
)


def build(runs: Runs) -> pd.DataFrame:
    """A row for each approximate run of a published model, after the workload out of the box."""
    return beside_published_scores(runs)
