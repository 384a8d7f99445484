"""Streamlined Inference beside its published table (Zhan et al. 2024, Table 1), with what else a user could do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from reports.streamlined import beside_published
from reports.table import count, factor, number, quantity, text

if TYPE_CHECKING:
    from reports.runs import Runs

SECTION, ORDER = "optimizations", 40
TITLE = "Streamlined Inference beside its published figures"
CAPTION = (
    "Ours: peaks of allocated and reserved memory, what lives beside the weights in denoising steps and in decoding, FLOPs, "
    "steps and time of one generation; ratios are over the workload out of the box. Exact: the stack must reproduce "
    "the output to rounding. A full step has at least half of the FLOPs of the costliest. Published (Zhan et al. 2024, "
    "Table 1): their GB read as GiB, of bytes that the paper does not define; they are more than what is allocated, so compare "
    "ratios rather than sizes. The published streamlined row bundles slicing, grouping and 13 of 25 full steps."
)
COLUMNS = (
    text("Workload", "group"),
    text("Stack", "stack"),
    text("Output", "output"),
    quantity("Allocated", "allocated_bytes", "bytes"),
    factor("Allocated over out of the box", "relative_memory"),
    quantity("Reserved", "reserved_bytes", "bytes", unit_from="allocated_bytes"),
    quantity("Device", "device_bytes", "bytes", unit_from="allocated_bytes"),
    quantity("In steps, beside weights", "denoise_bytes", "bytes", unit_from="allocated_bytes"),
    quantity("In decoding, beside weights", "decode_bytes", "bytes", unit_from="allocated_bytes"),
    quantity("Work", "flops", "flops"),
    count("Steps", "steps"),
    count("Full steps", "full_steps"),
    quantity("Time", "seconds", "s"),
    factor("Time over out of the box", "relative_time"),
    text("Time is", "time_is"),
    quantity("Published peak", "published_peak_bytes", "bytes", unit_from="allocated_bytes"),
    factor("Published peak over out of the box", "published_relative_memory"),
    quantity("Published time", "published_s", "s"),
    factor("Published time over out of the box", "published_relative_time"),
    number("Published FVD", "published_fvd"),
    text("Published in", "published_in"),
    text("Outcome", "outcome"),
    text("Reason", "reason"),
)


def build(runs: Runs) -> pd.DataFrame:
    """A row for each run of a published model and size; bytes, seconds and FLOPs."""
    frame = beside_published(runs)
    if frame.empty:
        return frame
    return frame.assign(output=frame["is_exact"].map({True: "exact", False: "approximate"}))
