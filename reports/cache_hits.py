"""Cache hit rates of attention's kernels, by kind of attention and class of kernel (Golden et al. 2024, Fig. 12)."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportReturnType=false
from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.comparison import in_order

if TYPE_CHECKING:
    from reports.runs import Runs

CLASSES = ("gemm", "softmax", "elementwise", "data_movement", "fused_attention")
"""The paper's three, and what else attention launches."""
_KEYS = ["attention_kernel", "kernel_class", "attention_kind"]


@lru_cache(maxsize=4)
def cache_hits(runs: Runs) -> pd.DataFrame:
    """A row for each run, attention kernel, kernel class and attention kind. Treat the frame as read-only.

    A hit rate is that of all sectors that the generation's calls ask for: kernels weigh as their sectors and their shape's
    number of calls. ``l1_over_spatial`` (and ``l2_``) is the rate over that of spatial attention's kernels of the same class.
    Seconds and bytes are of all those calls, too. Calls that could not be launched again are a row of no class, with reasons.
    """
    profiled = set(runs.having("attention_kernels"))
    found = [_of_run(runs, run) for run in in_order(runs).to_dict("records") if run["run_id"] in profiled]
    found = [rows for rows in found if len(rows)]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def _of_run(runs: Runs, run: dict[Any, Any]) -> pd.DataFrame:
    table = runs.table("attention_kernels", [run["run_id"]])
    facts = {key: run[key] for key in ("run_id", "group", "workload", "stack", "device_name")}
    rows = [
        facts | dict(zip(_KEYS, key, strict=True)) | _together(kernels)
        for key, kernels in table.groupby(_KEYS, sort=False, observed=True, dropna=False)
    ]
    frame = pd.DataFrame(rows)
    if frame.empty:
        return frame
    frame["kernel_class"] = frame["kernel_class"].astype(object).where(frame["kernel_class"].notna(), None)
    spatial = frame[frame["attention_kind"] == "spatial"].set_index(["attention_kernel", "kernel_class"])
    for cache in ("l1", "l2"):
        own = spatial[f"{cache}_hit_rate"].rename("own")
        theirs = frame.join(own, on=["attention_kernel", "kernel_class"])["own"]
        frame[f"{cache}_over_spatial"] = (frame[f"{cache}_hit_rate"] / theirs).where(theirs > 0)
    places = {name: place for place, name in enumerate(CLASSES)}
    frame["place"] = frame["kernel_class"].map(lambda name: places.get(name, len(places) + (name is None)))
    return frame.sort_values(["attention_kernel", "place"], kind="stable", key=_in_first_order).drop(columns="place")


def _in_first_order(column: pd.Series) -> pd.Series:
    """A sort key by which names stay in the order they first come in; numbers sort as they are."""
    return column if pd.api.types.is_numeric_dtype(column) else pd.Series(pd.factorize(column)[0], index=column.index)


def _together(kernels: pd.DataFrame) -> dict[str, Any]:
    """Kernels of one class over all calls of the generation."""
    row: dict[str, Any] = {"num_kernels": int(kernels["kernel"].notna().sum())}
    for column in ("duration_s", "dram_bytes"):
        row[column] = (kernels["calls"] * kernels[column]).sum(min_count=1)
    for cache in ("l1", "l2"):
        known = kernels[kernels[f"{cache}_hit_rate"].notna()]
        sectors = known["calls"] * known[f"{cache}_sectors"]
        row[f"{cache}_hit_rate"] = (
            (sectors * known[f"{cache}_hit_rate"]).sum() / sectors.sum() if sectors.sum() else None
        )
    reasons = kernels["reason"].dropna().astype(str).unique()
    return row | {"reason": "; ".join(reasons) or None}
