"""Where the memory goes: peaks by stage with weights apart from activations, and which bytes were counted."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import pandas as pd

from reports.comparison import identities, in_order
from suite.stage import STAGES

if TYPE_CHECKING:
    from reports.runs import Runs

COUNTERS = {
    "allocated_bytes": "allocated memory",
    "reserved_bytes": "reserved memory",
    "device_bytes": "device memory",
    "resident_bytes": "resident memory of the process",
}
"""Byte columns, best first. A run uses one of them for all its rows."""


@lru_cache(maxsize=4)
def stage_peaks(runs: Runs) -> pd.DataFrame:
    """Peak bytes of each stage: ``peak_bytes`` (of ``counter``), of which ``weights_bytes`` and ``activations_bytes``.

    Where a run could not tell weights from activations both are null. Treat the frame as read-only.
    """
    peaks = runs.memory_peaks
    if peaks.empty:
        return pd.DataFrame()
    best = best_counter(peaks)
    columns = ["run_id", "stage", "weights_bytes", "activations_bytes"]
    frame = peaks[columns].assign(peak_bytes=best["bytes"], counter=best["counter"])
    frame = frame[frame["peak_bytes"].notna()].astype({"run_id": object, "stage": object})
    merged = identities(runs).merge(frame, on="run_id", sort=False)
    position = {run_id: index for index, run_id in enumerate(in_order(runs)["run_id"])}
    rank = {stage: index for index, stage in enumerate(STAGES)}
    keys = pd.DataFrame({"run": merged["run_id"].map(position), "stage": merged["stage"].map(rank)})
    return merged.loc[keys.sort_values(["run", "stage"]).index].reset_index(drop=True)


def best_counter(rows: pd.DataFrame) -> pd.DataFrame:
    """For each row the bytes of its run's best counter, and the counter's name."""
    value = pd.Series(float("nan"), index=rows.index)
    name = pd.Series(None, index=rows.index, dtype=object)
    owner = rows["run_id"].astype(object)
    for column in reversed(COUNTERS):
        known = rows[column].notna().groupby(owner).any()
        usable = owner.map(known).astype(bool)
        value[usable] = rows.loc[usable, column].astype(float)
        name[usable] = COUNTERS[column]
    return pd.DataFrame({"bytes": value, "counter": name})
