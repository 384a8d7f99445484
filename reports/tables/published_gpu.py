"""Published GPU measurements, each beside our simulation of it, with its source and how far apart they are."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportReturnType=false
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.published_gpu import PANELS, published_gpu
from reports.table import Column, factor, number, text
from suite.units import NONE, quantity

if TYPE_CHECKING:
    from reports.runs import Runs

SECTION, ORDER = "cost", 40
TITLE = "Published GPU measurements"
CAPTION = (
    "Every published measurement of which the run was simulated. Ratios: our number over the published one. Model left "
    "out: the ratio of a time whose calibration had not seen the model; the plain ratio of a time is one that it was "
    "fitted to. A peak is fitted to nothing. Sure: of the settings, by which a row is simulated; low where its source "
    "does not tell them. Device: what a driver reports, reserved memory and the process's context."
)


def _amount(header: str, name: str) -> Column:
    def cell(row: dict[str, Any], _: Any) -> str:
        return NONE if pd.isna(row[name]) else quantity(row[name], PANELS[row["quantity"]])

    return Column(header, name, cell)


COLUMNS = (
    text("Model", "model"),
    text("Precision", "precision"),
    number("Batch", "batch"),
    text("Machine", "machine"),
    text("Quantity", "quantity"),
    text("Of", "scope"),
    _amount("Published", "published"),
    _amount("Simulated", "simulated"),
    factor("Ratio", "ratio"),
    factor("Model left out", "left_out_ratio"),
    number("Off by (%)", "off_percent"),
    text("Sure", "sure"),
    text("Settings", "flags"),
    text("Why", "why_sure"),
    text("Measured with", "libraries"),
    text("Simulated with", "our_libraries"),
    text("Note", "note"),
    text("Source", "source"),
)


def build(runs: Runs) -> pd.DataFrame:
    """A row for each measurement, quantity by quantity, what is furthest off first."""
    frame = published_gpu(runs)
    if frame.empty:
        return frame
    judged = frame["left_out_ratio"].astype(float).fillna(frame["ratio"])
    told = frame.assign(off_percent=100 * (judged - 1).abs())
    order = {name: index for index, name in enumerate(PANELS)}
    keys = pd.DataFrame({"quantity": told["quantity"].map(order), "off": -told["off_percent"]})
    return told.loc[keys.sort_values(list(keys), kind="stable").index].reset_index(drop=True)
