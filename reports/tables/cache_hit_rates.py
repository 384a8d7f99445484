"""L1 and L2 hit rates of attention's kernels by kind of attention and class of kernel (Golden et al. 2024, Fig. 12)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from reports.cache_hits import cache_hits
from reports.table import count, factor, quantity, share, text

if TYPE_CHECKING:
    from reports.runs import Runs

SECTION, ORDER = "memory", 60
TITLE = "Cache hit rates of attention's kernels"
CAPTION = (
    "Share of sectors found in the L1 and the L2 cache, by Nsight Compute, of the kernels of attention calls that were "
    "launched again by themselves, with caches flushed before each kernel; kernels weigh as the sectors that they ask for and "
    "their shape's number of calls in a generation. Over spatial: the rate over that of spatial attention's kernels of the "
    "same class. Bytes of DRAM and time are of all those calls."
)
COLUMNS = (
    text("Workload", "group"),
    text("Stack", "stack"),
    text("Attention kernel", "attention_kernel"),
    text("Kernel class", "kernel_class"),
    text("Attention", "attention_kind"),
    count("Kernels", "num_kernels"),
    share("L1 hit rate", "l1_hit_rate"),
    factor("L1, over spatial", "l1_over_spatial"),
    share("L2 hit rate", "l2_hit_rate"),
    factor("L2, over spatial", "l2_over_spatial"),
    quantity("DRAM", "dram_bytes", "bytes"),
    quantity("Time", "duration_s", "s"),
    text("Device", "device_name"),
    text("Not launched", "reason"),
)


def build(runs: Runs) -> pd.DataFrame:
    """A row for each run, attention kernel, kernel class and attention kind; shares, bytes and seconds."""
    return cache_hits(runs)
