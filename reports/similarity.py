"""Similarity of layers between steps, run by run: maps in the order the layers run in, and what Algorithm 1 makes of them."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportReturnType=false
from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports.comparison import in_order
from suite.optimizations.rehash.search import num_full_steps_of, search_key_steps

if TYPE_CHECKING:
    from reports.runs import Runs

FULL_SHARE = 0.5
"""Of the steps, those that run in full: 13 of 25, as published (Zhan et al. 2024, section 5.1)."""

Map = NDArray[np.float64]


@lru_cache(maxsize=4)
def similarity_maps(runs: Runs) -> pd.DataFrame:
    """A row for each run and layer: ``map`` ``[K, K]``, what it comes to, and key steps. Treat the frame as read-only.

    ``threshold`` is the largest gamma with which Algorithm 1 (Zhan et al. 2024, appendix B) leaves no more than half of the
    steps to run in full, and ``key_steps`` are these steps. A map of fewer than three steps has neither.
    """
    watched = set(runs.having("similarity"))
    ordered = [run for run in in_order(runs).to_dict("records") if run["run_id"] in watched]
    return pd.DataFrame([row for run in ordered for row in _layers(runs, run)])


def _layers(runs: Runs, run: dict[Any, Any]) -> list[dict[str, Any]]:
    facts = {key: run[key] for key in ("run_id", "group", "workload", "stack", "weights")}
    pairs = runs.table("similarity", [run["run_id"]])
    found = []
    for module, rows in pairs.groupby("module", sort=False, observed=True):
        values = rows.pivot(index="step_i", columns="step_j", values="similarity").to_numpy(float)
        found.append(facts | {"module": str(module), "layer": layer_name(str(module)), "map": values} | summary(values))
    return found


def summary(values: Map) -> dict[str, Any]:
    """A map in numbers: steps, similarity of neighbours and of all different steps, threshold and key steps."""
    num_steps = len(values)
    pairs = values[np.triu_indices(num_steps, 1)]
    threshold, key_steps = _searched(values, pairs) if num_steps > 2 and not np.isnan(values).any() else (None, None)
    return {
        "num_steps": num_steps,
        "adjacent": float(np.diag(values, 1).mean()) if len(pairs) else None,
        "lowest": float(pairs.min()) if len(pairs) else None,
        "threshold": threshold,
        "num_key_steps": key_steps and len(key_steps),
        "key_steps": key_steps and ", ".join(map(str, key_steps)),
    }


def _searched(values: Map, pairs: Map) -> tuple[float, list[int]]:
    """Threshold and key steps. Some threshold passes: with the lowest similarity of all, only the ends run in full."""
    most, similarity = num_full_steps_of(len(values), FULL_SHARE), values.tolist()
    found = ((threshold, search_key_steps(similarity, threshold)) for threshold in np.unique(pairs)[::-1].tolist())
    return next((threshold, key_steps) for threshold, key_steps in found if len(key_steps) <= most)


def layer_name(module: str) -> str:
    """A module's path in a few words: ``denoiser.up_blocks.3.motion_modules.2`` is ``up 3 motion 2``."""
    words = module.removeprefix("denoiser.").split(".")
    return " ".join(re.sub(r"_?(block|module)s?$", "", word).rstrip("s") or "block" for word in words)


def block_of(module: str) -> str:
    """The block that a layer is in: ``denoiser.up_blocks.3.motion_modules.2`` is in ``up_blocks.3``."""
    return ".".join(module.removeprefix("denoiser.").split(".")[:2])
