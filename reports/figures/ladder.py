"""Techniques added one by one: what every rung leaves of time and of peak memory."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportReturnType=false
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.ladder import ladders
from reports.palette import FAINT, INK, WEIGHTS
from reports.panels import shown, what_is_left_out
from reports.ratios import amount, pace
from reports.style import bars_from_zero, legend_on_top, new_figure, readable
from suite.units import quantity, ratio

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from reports.runs import Runs

SECTION, ORDER = "optimizations", 60
TITLE = "Techniques one by one"

LEFT, SAVED, ADDED = "#0a7abf", "#cfe3f1", "#e0701a"
_FIRST_AT, _STEP_AT = 30, 62
"""Right edges of the two columns of numbers beside a panel, in points from it."""


def data(runs: Runs) -> pd.DataFrame:
    """Every rung of every group."""
    return ladders(runs)


def caption(runs: Runs) -> str:
    frame = data(runs)
    kinds = " and ".join(dict.fromkeys(frame["time_is"].dropna()))
    measured = " Lines: 95 % intervals." if "measured" in kinds else ""
    ends = "; ".join(
        f"{readable(str(group))}: {pace(rows['relative_time'].dropna().iloc[-1])} and "
        f"{amount(rows['relative_memory'].dropna().iloc[-1])} memory with all of them"
        for group, rows in frame.groupby("group", sort=False)
        if rows["relative_time"].notna().any() and rows["relative_memory"].notna().any()
    )
    return (
        f"Time of a generation ({kinds}) and peak memory over the first rung, each rung with all techniques above it. Light: "
        "what a rung saves beside the one before; orange: what it adds; grey: weights. Numbers: over the first rung (of the "
        f"first, what it is), and over the rung before.{measured} {ends}." + what_is_left_out(frame)
    )


def alt_text(runs: Runs) -> str:
    parts = [
        f"{row['group']} rung {row['rung']} {row['added']}: {pace(row['relative_time'])}, "
        f"{amount(row['relative_memory'])} memory"
        for row in data(runs).to_dict("records")
        if row["outcome"] == "ok"
    ]
    return "Bars of time and memory, rung by rung. " + "; ".join(parts[:24]) + "."


def draw(runs: Runs) -> Figure | None:
    frame = shown(data(runs))
    if frame.empty:
        return None
    groups = list(frame.groupby("group", sort=False))
    heights = [len(rows) + 2.4 for _, rows in groups]
    figure = new_figure(0.5 + 0.165 * sum(heights))
    grid = figure.subplots(len(groups), 2, squeeze=False, sharey="row", gridspec_kw={"height_ratios": heights})
    for (time, memory), (group, rows) in zip(grid, groups, strict=True):
        rungs = rows.to_dict("records")
        _draw_panel(time, rungs, "time", "seconds", "s")
        _draw_panel(memory, rungs, "memory", "peak_bytes", "bytes")
        time.set_yticks(range(len(rungs)), [_label(row) for row in rungs])
        time.set_ylim(len(rungs) - 0.4, -0.6)
        time.set_title(readable(str(group)))
    grid[-1][0].set_xlabel("time over the first rung")
    grid[-1][1].set_xlabel("peak memory over the first rung")
    legend_on_top(figure, _legend(frame))
    return figure


def _label(row: dict[Any, Any]) -> str:
    return f"{'+ ' if row['rung'] else ''}{readable(row['added'])}"


def _draw_panel(axes: Axes, rungs: list[dict[Any, Any]], measure: str, absolute: str, base: str) -> None:
    below = 1.0
    for place, row in enumerate(rungs):
        value = row[f"relative_{measure}"]
        if pd.isna(value):
            words = readable(row["outcome"]) if row["outcome"] != "ok" else "not known"
            axes.annotate(words, (0, place), (4, 0), textcoords="offset points", va="center_baseline", fontsize=6,
                          color=FAINT)  # fmt: skip
            continue
        _draw_bar(axes, place, value, below, _weights(row, value) if measure == "memory" else 0.0)
        if measure == "time" and pd.notna(row["relative_low"]) and place:
            axes.plot([row["relative_low"], row["relative_high"]], [place] * 2, color=INK, linewidth=1.0)
        _beside(axes, ratio(value) if place else quantity(row[absolute], base), (_FIRST_AT, place), INK)
        _beside(axes, ratio(row[f"step_{measure}"]) if place else "", (_STEP_AT, place), FAINT)
        below = value
    for at, words in ((_FIRST_AT, "first"), (_STEP_AT, "before")):
        _beside(axes, words, (at, -0.95), FAINT)
    bars_from_zero(axes)


def _draw_bar(axes: Axes, place: int, value: float, below: float, weights: float) -> None:
    kept = min(value, below)
    axes.barh(place, weights, height=0.7, color=WEIGHTS, linewidth=0)
    axes.barh(place, kept - weights, left=weights, height=0.7, color=LEFT, linewidth=0)
    axes.barh(
        place, abs(value - below), left=kept, height=0.7, color=SAVED if value < below else ADDED, linewidth=0
    )  # fmt: skip


def _weights(row: dict[Any, Any], value: float) -> float:
    return 0.0 if pd.isna(row["weights_bytes"]) else value * row["weights_bytes"] / row["peak_bytes"]


def _beside(axes: Axes, words: str, place: tuple[float, float], colour: str) -> None:
    """Words right of a panel that end at a place: points from its edge, and a row."""
    axes.annotate(words, (1, place[1]), (place[0], 0), xycoords=axes.get_yaxis_transform(), textcoords="offset points",
                  ha="right", va="center_baseline", fontsize=6, color=colour, annotation_clip=False)  # fmt: skip


def _legend(frame: pd.DataFrame) -> dict[str, Any]:
    from matplotlib.patches import Patch

    found = {"weights": Patch(facecolor=WEIGHTS), "what is left": Patch(facecolor=LEFT),
             "saved by this rung": Patch(facecolor=SAVED)}  # fmt: skip
    if (frame[["step_time", "step_memory"]].astype(float) > 1).any(axis=None):
        found["added by this rung"] = Patch(facecolor=ADDED)
    return found
