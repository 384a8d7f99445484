"""How time, FLOPs and memory grow with the image: convolution and attention, with each kernel (Golden et al. 2024, Fig. 9)."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportReturnType=false
from __future__ import annotations

import itertools
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from reports.breakdown import all_totals, axis_words
from reports.palette import CLASS_COLOURS, FAINT, INK
from reports.panels import without_shared_ending
from reports.style import new_figure, readable
from suite.stage import STEP_STAGES
from suite.units import unit_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from reports.runs import Runs

SECTION, ORDER = "time", 60
TITLE = "Growth with image size"

MIN_SIZES = 3
SERIES = {"attention core": CLASS_COLOURS["attention core"], "convolution": CLASS_COLOURS["convolution"]}
_SECONDS = ", seconds"
_LINES = ("-", (0, (4, 1.6)), (0, (1, 1.2)))
"""Of the stacks, in order."""


@lru_cache(maxsize=2)
def data(runs: Runs) -> pd.DataFrame:
    """One row a run of the first workload that was run at `MIN_SIZES` sizes or more of square images.

    Seconds (of ``clock``) and FLOPs of its steps by class, bytes of all scores of one step (``2 Sq Sk`` a head and call, in
    half precision), and peak activation bytes of a step.
    """
    chosen = one_workload(runs)
    if chosen.empty:
        return chosen
    ids = list(chosen["run_id"])
    totals = all_totals(runs)
    totals = totals[
        totals["run_id"].isin(ids) & totals["stage"].isin(STEP_STAGES) & totals["segment"].isin(list(SERIES))
    ]
    keys = [totals["run_id"].astype(object), totals["segment"]]
    flops, seconds = (totals.groupby(keys)[name].sum(min_count=1).unstack() for name in ("flops", "seconds"))
    attention = runs.table("attention", ids)
    first = attention[attention["step"] == 0]
    scores = first["batch"] * first["heads"] * first["query_length"] * first["key_length"] * 2
    peaks = runs.memory_peaks[runs.memory_peaks["stage"].isin(STEP_STAGES)].set_index("run_id")["activations_bytes"]
    found = chosen.set_index("run_id").join(flops).join(seconds.add_suffix(_SECONDS))
    found["clock"] = totals.drop_duplicates("run_id").set_index("run_id")["clock"]
    found["score_bytes"] = scores.groupby(first["run_id"].astype(object)).sum()
    found["peak_activation_bytes"] = peaks[~peaks.index.duplicated()]
    return found.reset_index().sort_values(["stack", "request_height"], ignore_index=True)


def one_workload(runs: Runs) -> pd.DataFrame:
    frame = runs.runs
    if "request_height" not in frame:
        return pd.DataFrame()
    square = frame[frame["is_complete"] & (frame["request_height"] == frame["request_width"])]
    keys = ["workload", "scale", "execution", "precision", "stack"]
    sizes = square.drop_duplicates([*keys, "request_height"])
    sizes = sizes[sizes.groupby(keys, dropna=False)["request_height"].transform("nunique") >= MIN_SIZES]
    for _, rows in sizes.groupby(keys[:-1], sort=False, dropna=False):
        return rows[["run_id", "workload", "stack", "request_height", "precision"]].copy()
    return pd.DataFrame()


def slope(sizes: pd.Series, values: pd.Series) -> float:
    """Exponent over the two largest sizes: 2 for what grows with the pixels, 4 for what grows with their square."""
    order = np.argsort(sizes.to_numpy())[-2:]
    (x0, x1), (y0, y1) = np.log(sizes.to_numpy(float)[order]), np.log(values.to_numpy(float)[order])
    return float((y1 - y0) / (x1 - x0))


def caption(runs: Runs) -> str:
    frame = data(runs)
    workload = readable(frame["workload"].iloc[0]).capitalize()
    times = f"{axis_words(frame)} by operator class and stack, " if frame["clock"].notna().any() else ""
    return (
        f"{workload}, all denoising steps: {times}FLOPs, which no stack changes, and peak activations of a step by stack. "
        "Numbers are exponents between the two largest sizes. Dashed: the bytes that all score matrices of one "
        "step would take together in half precision (closed form), which grow with the fourth power of the side."
    )


def alt_text(runs: Runs) -> str:
    frame = data(runs)
    sizes = ", ".join(f"{size:g}" for size in sorted(frame["request_height"].unique()))
    return f"Log-log curves of time, of FLOPs and of peak activation memory over image sides of {sizes} pixels."


def draw(runs: Runs) -> Figure | None:
    frame = data(runs)
    if frame.empty:
        return None
    figure = new_figure(2.4)
    *timed, left, right = figure.subplots(1, 3 if frame["clock"].notna().any() else 2)
    stacks = list(dict.fromkeys(frame["stack"]))
    short, _ = without_shared_ending([readable(stack) for stack in stacks])
    for axes in timed:
        _draw_times(axes, frame, dict(zip(stacks, short, strict=True)))
    unit = unit_for(frame[[name for name in SERIES if name in frame]].to_numpy(float).ravel(), "flops")
    memory = unit_for(frame["peak_activation_bytes"], "bytes")
    one = frame[frame["stack"] == frame["stack"].iloc[0]]
    for name, colour in SERIES.items():
        if name in one and one[name].gt(0).all():
            _line(
                left,
                one["request_height"],
                one[name] / unit.size,
                f"{name}, {slope(one['request_height'], one[name]):.1f}",
                colour,
            )
    left.set_ylabel(f"FLOPs of all steps ({unit.symbol})")
    styles = {"baseline_attention": INK}
    for words, (stack, rows) in zip(short, frame.groupby("stack", sort=False), strict=True):
        peak = rows["peak_activation_bytes"]
        if peak.notna().all():
            label = f"{words}, {slope(rows['request_height'], peak):.1f}"
            _line(right, rows["request_height"], peak / memory.size, label, styles.get(stack, CLASS_COLOURS["linear"]))
    right.plot(one["request_height"], one["score_bytes"] / memory.size, color=FAINT, linestyle=(0, (4, 2)), linewidth=0.9,
               label=f"all scores, {slope(one['request_height'], one['score_bytes']):.1f}")  # fmt: skip
    right.set_ylabel(f"peak activations of a step ({memory.symbol})")
    for axes in (*timed, left, right):
        _log_axes(axes, sorted(frame["request_height"].unique()))
    return figure


def _draw_times(axes: Axes, frame: pd.DataFrame, names: dict[str, str]) -> None:
    for (stack, words), style in zip(names.items(), itertools.cycle(_LINES)):
        rows = frame[frame["stack"] == stack]
        for name, colour in SERIES.items():
            seconds = rows.get(f"{name}{_SECONDS}")
            if seconds is not None and seconds.gt(0).all():
                label = f"{name}, {words}, {slope(rows['request_height'], seconds):.1f}"
                _line(axes, rows["request_height"], seconds, label, colour, style)
    axes.set_ylabel(f"{axis_words(frame)} of all steps (s)")


def _line(axes: Axes, sizes: pd.Series, values: pd.Series, label: str, colour: str, style: Any = "-") -> None:
    axes.plot(sizes, values, color=colour, marker="o", markersize=2.6, linewidth=1.1, linestyle=style, label=label)


def _log_axes(axes: Axes, sizes: list[float]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    apart = [size for size in sizes if size == min(sizes) or np.log2(size).is_integer()]
    axes.set_xticks(apart, [f"{size:g}" for size in apart])
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    axes.minorticks_off()
    axes.set_xlabel("image side (px)")
    axes.grid(axis="y")
    low, high = axes.get_ylim()
    axes.set_ylim(
        low, high * (high / low) ** (0.06 + 0.09 * len(axes.get_legend_handles_labels()[0]))
    )  # room for the legend
    axes.legend(loc="upper left", frameon=False, handlelength=2.4, fontsize=6, labelspacing=0.25, borderaxespad=0.1)
