"""Simulated against published: latency, energy and peaks of memory of GPUs, one panel each."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportCallIssue=false, reportReturnType=false
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.palette import BAND as GREY
from reports.palette import FAINT, RULE, stack_colours
from reports.published_gpu import PANELS, errors, published_gpu, summary
from reports.style import legend_on_top, new_figure
from suite.units import percent, unit_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from reports.runs import Runs

SECTION, ORDER = "cost", 40
TITLE = "Published GPU measurements"

GROUPS = {
    "latency": ("latency",),
    "energy": ("energy",),
    "peak allocated": ("allocated", "weights"),
    "peak reserved": ("reserved", "device"),
}
"""Panels, and the quantities in them; the first's band is drawn."""
DRAWN_BAND = 0.15
_MARKS = {"weights": "s", "device": "D"}


def data(runs: Runs) -> pd.DataFrame:
    """Every published measurement with our number for it."""
    return published_gpu(runs)


def caption(runs: Runs) -> str:
    told = []
    for found in summary(data(runs)):
        what = f"{found['quantity']}{' of models that the fit had not seen' if found['left_out'] else ''}"
        told.append(
            f"{what}: off by {percent(found['median'])} in the median of {found['rows']}, {percent(found['within'])} within "
            f"{percent(found['band'])}"
        )
    return (
        "Simulated (up) against published (right), both axes logarithmic; the line is equality, the band "
        f"{percent(DRAWN_BAND)} either way. Times are drawn as estimated for models that their calibration had not seen, where "
        "that is known. Hollow: settings that the source does not tell or that are of older libraries; medians are of the "
        "others. Squares: weights alone; diamonds: what a driver reports. "
        f"{'; '.join(told).capitalize()}."
    )


def alt_text(runs: Runs) -> str:
    parts = [
        f"{found['quantity']}{', model left out' if found['left_out'] else ''}: median error {percent(found['median'])} "
        f"of {found['rows']}"
        for found in summary(data(runs))
    ]
    return "Scatter of simulated against published measurements by GPU. " + "; ".join(parts) + "."


def draw(runs: Runs) -> Figure | None:
    frame = data(runs)
    if frame.empty:
        return None
    panels = {name: frame[frame["quantity"].isin(kinds)] for name, kinds in GROUPS.items()}
    panels = {name: rows for name, rows in panels.items() if len(rows)}
    colours = stack_colours(_machines(frame), "not named")
    num_columns = min(len(panels), 2)
    num_lines = math.ceil(len(panels) / num_columns)
    figure = new_figure(0.6 + 3.1 * num_lines, 7.0 if num_columns == 2 else 4.2)
    grid = figure.subplots(num_lines, num_columns, squeeze=False)
    for axes, (name, rows) in zip(grid.flat, panels.items(), strict=False):
        _draw_panel(axes, name, rows, colours)
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_visible(False)
    legend_on_top(figure, _legend(colours), num_columns=5)
    return figure


def _machines(frame: pd.DataFrame) -> list[str]:
    """By how many rows they have."""
    return list(frame["machine"].value_counts().index)


def _draw_panel(axes: Axes, name: str, rows: pd.DataFrame, colours: dict[str, str]) -> None:
    kind = GROUPS[name][0]
    drawn = rows.assign(value=rows["left_out_ratio"].astype(float).fillna(rows["ratio"]) * rows["published"])
    low = 0.75 * min(drawn["published"].min(), drawn["value"].min())
    high = 1.35 * max(drawn["published"].max(), drawn["value"].max())
    ends = [low, high]
    axes.fill_between(
        ends, [e * (1 - DRAWN_BAND) for e in ends], [e * (1 + DRAWN_BAND) for e in ends], color=GREY, lw=0
    )
    axes.plot(ends, ends, color=FAINT, linewidth=0.7)
    for row in drawn.to_dict("records"):
        colour = colours[row["machine"]]
        axes.plot(
            row["published"], row["value"], _MARKS.get(row["quantity"], "o"), color=colour, markersize=4.2,
            markerfacecolor=colour if row["counts"] else "none", markeredgecolor=colour, markeredgewidth=0.7,
            alpha=0.9,
        )  # fmt: skip
    for scale, limit, axis in (
        (axes.set_xscale, axes.set_xlim, axes.xaxis),
        (axes.set_yscale, axes.set_ylim, axes.yaxis),
    ):
        scale("log")
        limit(low, high)
        axis.set_major_locator(_ticks(low, high, 2.0 if PANELS[kind] == "bytes" else 10.0))
        axis.set_major_formatter(lambda value, _: _tick_words(value, PANELS[kind]))
    axes.minorticks_off()
    axes.set_aspect("equal")
    axes.grid(color=RULE, linewidth=0.4)
    off = errors(rows, kind, left_out=kind == "latency" and rows["left_out_ratio"].notna().any())
    axes.set_title(f"{name}: median error {percent(float(off.median()))}" if len(off) else name)
    axes.set_xlabel("published")
    axes.set_ylabel("simulated")


def _tick_words(value: float, base: str) -> str:
    unit = unit_for([value], base)
    return f"{value / unit.size:g} {unit.symbol}"


def _ticks(low: float, high: float, base: float) -> Any:
    from matplotlib.ticker import FixedLocator

    few = high / low < 100
    steps = [m * 10.0**e for e in range(-4, 13) for m in ((1, 2, 5) if few else (1,))]
    if base == 2.0:
        steps = [2.0**power for power in range(20, 45)]
    return FixedLocator([value for value in steps if low <= value <= high])


def _legend(colours: dict[str, str]) -> dict[str, Any]:
    from matplotlib.lines import Line2D

    return {
        name.replace("NVIDIA ", "").replace("GeForce ", ""): Line2D(
            [], [], color=colour, marker="o", markersize=4, lw=0
        )
        for name, colour in colours.items()
    }
