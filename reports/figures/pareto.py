"""Time against peak memory of every stack, with what nothing beats in front and the rest dimmed."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportCallIssue=false, reportReturnType=false
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.facts import OUT_OF_THE_BOX
from reports.labels import label_points
from reports.palette import RULE
from reports.panels import what_is_left_out
from reports.pareto import pareto
from reports.ratios import amount, judged_pace
from reports.style import legend_on_top, new_figure, readable
from suite.units import quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from reports.runs import Runs

SECTION, ORDER = "optimizations", 70
TITLE = "Time, memory and fidelity at once"

SAME, CHANGED = "#0a7abf", "#e0701a"
MAX_GROUPS = 6
_ROW_INCHES = 2.6
_PANEL_POINTS = {1: (260.0, 150.0), 2: (218.0, 152.0)}
"""About how large the axes are that stand alone or beside others, to know which labels would meet."""
_DASHES = (0, (4, 3))


def data(runs: Runs) -> pd.DataFrame:
    """Every stack with its time, memory and output, and what dominates it."""
    return pareto(runs)


def caption(runs: Runs) -> str:
    frame = data(runs)
    kinds = " and ".join(dict.fromkeys(frame["time_is"].dropna()))
    unknown = frame["psnr_db"].isna() & ~frame["same_output"].astype(bool)
    fidelity = " Beside what changes the output: its PSNR to the unoptimized one at the same seed."
    if unknown.any():
        fidelity = (
            " Changed outputs were not compared; they dominate each other only where the same techniques change them."
        )
    bands = " Bands: 95 % intervals of their times." if frame["time_low"].notna().any() else ""
    return (
        f"Time of a generation ({kinds}) and its peak memory over those of the workload out of the box, each axis logarithmic. "
        "Circles: same output to rounding; diamonds: changed. Bright, with a name: no stack is as good in time, memory and "
        "output and better in one of them. Pale: dominated (the table says by what). Lines: what can be had with the same "
        f"output, and with any.{bands}{fidelity}" + what_is_left_out(frame, MAX_GROUPS)
    )


def alt_text(runs: Runs) -> str:
    frame = data(runs)
    parts = [
        f"{row['group']} {row['stack']}: {judged_pace(row['relative_time'], row['verdict'])}, "
        f"{amount(row['relative_memory'])} memory, output {row['output']}"
        for row in frame[frame["dominated_by"].isna()].to_dict("records")
    ]
    return "Scatter of time and memory. Not dominated: " + "; ".join(parts[:24]) + "."


def draw(runs: Runs) -> Figure | None:
    frame = data(runs)
    groups = list(frame.groupby("group", sort=False))[:MAX_GROUPS]
    columns = min(len(groups), 2)
    num_lines = math.ceil(len(groups) / columns)
    figure = new_figure(0.4 + _ROW_INCHES * num_lines, 7.0 if columns == 2 else 4.2)
    grid = figure.subplots(num_lines, columns, squeeze=False)
    for axes, (group, rows) in zip(grid.flat, groups, strict=False):
        _draw_panel(axes, rows.to_dict("records"), _PANEL_POINTS[columns])
        axes.set_title(readable(str(group)))
    for axes in list(grid.flat)[len(groups) :]:
        axes.set_visible(False)
    for axes in grid[-1]:
        axes.set_xlabel("time over out of the box")
    for line in grid:
        line[0].set_ylabel("peak memory over out of the box")
    legend_on_top(figure, _legend(), num_columns=3 if columns == 1 else 5)
    return figure


def _draw_panel(axes: Axes, rows: list[dict[Any, Any]], size: tuple[float, float]) -> None:
    _set_limits(axes, rows)
    best = [row for row in rows if row["dominated_by"] is None or pd.isna(row["dominated_by"])]
    _draw_staircase(axes, [row for row in best if row["same_output"]], color=SAME)
    if not all(row["same_output"] for row in best):
        _draw_staircase(axes, best, color=CHANGED, linestyle=_DASHES)
    for row in rows:
        is_best = row in best
        colour = SAME if row["same_output"] else CHANGED
        if is_best and pd.notna(row["time_low"]):
            axes.plot(
                [row["time_low"], row["time_high"]],
                [row["relative_memory"]] * 2,
                color=colour,
                linewidth=2.6,
                alpha=0.25,
                solid_capstyle="butt",
                zorder=1,
            )
        axes.plot(
            row["relative_time"], row["relative_memory"], "o" if row["same_output"] else "D", color=colour,
            markersize=4.4 if row["same_output"] else 3.9, markeredgecolor="white", markeredgewidth=0.4,
            alpha=1.0 if is_best else 0.22, zorder=4 if is_best else 3, linestyle="none",
        )  # fmt: skip
    named = [row for row in rows if row in best or row["stack"] == OUT_OF_THE_BOX]
    points = [(row["relative_time"], row["relative_memory"]) for row in rows]
    label_points(axes, [(_name(row), row["relative_time"], row["relative_memory"]) for row in named], points, size)


def _set_limits(axes: Axes, rows: list[dict[Any, Any]]) -> None:
    for key, scale, limit, axis in (
        ("relative_time", axes.set_xscale, axes.set_xlim, axes.xaxis),
        ("relative_memory", axes.set_yscale, axes.set_ylim, axes.yaxis),
    ):
        values = [row[key] for row in rows]
        low, high = min(values), max(values)
        room = max(high / low, 1.3) ** 0.2
        scale("log")
        limit(low / room, high * room)
        axis.set_major_locator(_ticks(low / room, high * room))
        axis.set_major_formatter(_plain)
    axes.minorticks_off()
    axes.grid(color=RULE, linewidth=0.4)


def _ticks(low: float, high: float) -> Any:
    """Four to eight round values between the limits."""
    from matplotlib.ticker import FixedLocator, MaxNLocator

    if high < 4 * low:
        return FixedLocator([value for value in MaxNLocator(7).tick_values(low, high) if low <= value <= high])
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    mantissas = (1, 2, 5) if high < 100 * low else (1,)
    return FixedLocator([m * 10.0**decade for decade in decades for m in mantissas if low <= m * 10.0**decade <= high])


def _draw_staircase(axes: Axes, rows: Sequence[dict[Any, Any]], **look: Any) -> None:
    """The border of what these points offer: for each time the least memory that can be had in it."""
    right, top = axes.get_xlim()[1], axes.get_ylim()[1]
    steps: list[dict[Any, Any]] = []
    for row in sorted(rows, key=lambda row: (row["relative_time"], row["relative_memory"])):
        if not steps or row["relative_memory"] < steps[-1]["relative_memory"]:
            steps.append(row)
    if not steps:
        return
    across = [steps[0]["relative_time"], *(row["relative_time"] for row in steps), right]
    up = [top, *(row["relative_memory"] for row in steps), steps[-1]["relative_memory"]]
    axes.step(across, up, where="post", linewidth=0.9, zorder=2, **look)


def _name(row: dict[Any, Any]) -> str:
    if row["stack"] == OUT_OF_THE_BOX:
        return f"out of the box ({quantity(row['peak_bytes'], 'bytes')})"
    distance = "" if row["same_output"] or pd.isna(row["psnr_db"]) else f", {row['psnr_db']:.0f} dB"
    return f"{readable(row['stack'])}{distance}"


def _legend() -> dict[str, Any]:
    from matplotlib.lines import Line2D

    def mark(shape: str, colour: str, alpha: float = 1.0) -> Line2D:
        return Line2D([], [], color=colour, marker=shape, markersize=4, linestyle="none", alpha=alpha)

    return {
        "same output to rounding": mark("o", SAME),
        "output changes": mark("D", CHANGED),
        "dominated": mark("o", SAME, 0.22),
        "frontier, same output": Line2D([], [], color=SAME, linewidth=0.9),
        "frontier, any output": Line2D([], [], color=CHANGED, linewidth=0.9, linestyle=(0, (2, 1))),
    }


def _plain(value: float, _: object) -> str:
    return f"{value:.3g}"
