"""L1 and L2 hit rates of spatial and temporal attention's kernels (Golden et al. 2024, Fig. 12)."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false, reportReturnType=false
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.cache_hits import cache_hits
from reports.palette import FAINT, INK, KIND_COLOURS
from reports.panels import swatches
from reports.style import bars_from_zero, legend_on_top, new_figure, readable
from suite.units import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from reports.runs import Runs

SECTION, ORDER = "memory", 60
TITLE = "Cache hit rates of attention's kernels"

MAX_BLOCKS = 8
"""Runs and attention kernels that a figure has room for; the table holds them all."""
_CACHES = {"l1_hit_rate": "L1 hit rate", "l2_hit_rate": "L2 hit rate"}


def data(runs: Runs) -> pd.DataFrame:
    """What is drawn: classes of kernels that were seen."""
    frame = cache_hits(runs)
    return frame if frame.empty else frame[frame["kernel_class"].notna()].reset_index(drop=True)


def caption(runs: Runs) -> str:
    frame = data(runs)
    blocks = len(_blocks(frame))
    devices = ", ".join(frame["device_name"].dropna().unique()) or "a device that is not known"
    return (
        f"Share of sectors found in the L1 (left) and the L2 cache (right) of {devices}, as Nsight Compute counts them, by "
        "class of kernel and kind of attention. Each attention call was launched again by itself, with caches flushed before "
        "each kernel; kernels weigh as the sectors that they ask for over a generation. No bar: they asked for no sector."
        + f" Drawn are {MAX_BLOCKS} of {blocks} blocks; the table holds them all."
        * (blocks > MAX_BLOCKS)
    )


def alt_text(runs: Runs) -> str:
    parts = [
        f"{row['group']}, {row['attention_kernel']}, {readable(row['kernel_class'])}, {row['attention_kind']}: L1 "
        f"{percent(row['l1_hit_rate'])}, L2 {percent(row['l2_hit_rate'])}"
        for row in data(runs).to_dict("records")
    ]
    return "Bars of cache hit rates by class of kernel. " + "; ".join(parts[:32]) + "."


def draw(runs: Runs) -> Figure | None:
    frame = data(runs)
    if frame.empty:
        return None
    kinds = [kind for kind in KIND_COLOURS if kind in set(frame["attention_kind"])]
    at, bars, ticks, headings = 0.0, [], {}, {}
    for heading, block in _blocks(frame)[:MAX_BLOCKS]:
        headings[at] = heading
        at += 0.75
        for kernel_class, rows in block.groupby("kernel_class", sort=False):
            ticks[at + (len(kinds) - 1) * 0.2] = readable(kernel_class)
            bars += [(at + kinds.index(row["attention_kind"]) * 0.4, row) for row in rows.to_dict("records")]
            at += len(kinds) * 0.4 + 0.25
        at += 0.3
    figure = new_figure(0.6 + 0.2 * at)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (column, words) in zip(panels, _CACHES.items(), strict=True):
        _draw_panel(axes, bars, column)
        axes.set_xlabel(f"{words} (%)")
    panels[0].set_ylim(at - 0.3, -0.5)
    panels[0].set_yticks(list(ticks), list(ticks.values()))
    for place, words in headings.items():
        panels[0].annotate(words, (0, place), (3, 0), textcoords="offset points", va="center_baseline", fontweight="bold",
                           annotation_clip=False).set_in_layout(False)  # fmt: skip
    legend_on_top(figure, swatches(KIND_COLOURS, kinds))
    return figure


def _draw_panel(axes: Axes, bars: list[tuple[float, dict[Any, Any]]], column: str) -> None:
    for at, row in bars:
        rate = row[column]
        if pd.notna(rate):
            axes.barh(at, 100 * rate, height=0.36, color=KIND_COLOURS[row["attention_kind"]], linewidth=0)
        axes.annotate(percent(rate), (0 if pd.isna(rate) else 100 * rate, at), (3, 0), textcoords="offset points",
                      va="center_baseline", fontsize=5.5, color=FAINT if pd.isna(rate) else INK)  # fmt: skip
    bars_from_zero(axes)
    axes.set_xlim(0, 112)
    axes.set_xticks(range(0, 101, 20))


def _blocks(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Of each run and attention kernel: what it is called, and its rows."""
    if frame.empty:
        return []
    groups = frame.groupby(["run_id", "attention_kernel"], sort=False, observed=True)
    several = frame.groupby("group")["run_id"].nunique()
    return [(f"{_name(rows.iloc[0], several)}, {readable(kernel)} attention", rows) for (_, kernel), rows in groups]


def _name(row: Any, several: pd.Series) -> str:
    stack = f", {readable(row['stack'])}" if several[row["group"]] > 1 else ""
    return readable(row["group"]) + stack
