"""How alike what each layer gives is from step to step, and which steps Algorithm 1 would run in full (Zhan et al. 2024)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from reports.similarity import similarity_maps
from reports.table import Column, count, listing, text
from suite.units import NONE

if TYPE_CHECKING:
    from reports.runs import Runs

SECTION, ORDER = "optimizations", 50
TITLE = "Similarity between steps"
CAPTION = (
    "Cosine similarity of what each layer gives between steps of one generation, in the order in which layers run: mean of "
    "neighbouring steps, and the lowest of all pairs. Threshold: the largest gamma with which Algorithm 1 of Zhan et al. 2024 "
    "leaves no more than half of the steps to run in full, and those steps. Random weights tell of the architecture and its "
    "sampler, not of a trained model."
)


def _similarity(header: str, name: str) -> Column:
    """Four digits: similarities differ far behind the point."""
    return Column(header, name, lambda row, _: NONE if pd.isna(row[name]) else f"{row[name]:.4f}")


COLUMNS = (
    text("Workload", "group"),
    text("Stack", "stack"),
    text("Weights", "weights"),
    text("Layer", "module"),
    count("Steps", "num_steps"),
    _similarity("Neighbours", "adjacent"),
    _similarity("Lowest", "lowest"),
    _similarity("Threshold", "threshold"),
    count("Full steps", "num_key_steps"),
    listing("Which", "key_steps", most=13),
)


def build(runs: Runs) -> pd.DataFrame:
    """A row for each run and layer."""
    frame = similarity_maps(runs)
    return frame if frame.empty else frame.drop(columns=["map", "layer"])
