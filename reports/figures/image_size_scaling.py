"""How FLOPs and memory grow with the image: convolution, attention and its memory law (Golden et al. 2024, Fig. 9)."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportReturnType=false
from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from reports.palette import CLASS_COLOURS, FAINT, INK
from reports.style import new_figure, readable
from suite.stage import STEP_STAGES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from reports.runs import Runs

SECTION, ORDER = "time", 60
TITLE = "Growth with image size"

MIN_SIZES = 3
SERIES = {"attention core": CLASS_COLOURS["attention core"], "convolution": CLASS_COLOURS["convolution"]}
GIB, TFLOP = 2**30, 1e12


@lru_cache(maxsize=2)
def data(runs: Runs) -> pd.DataFrame:
    """One row a run of the first workload that was run at `MIN_SIZES` sizes or more of square images.

    FLOPs of its steps by class, bytes of all scores of one step (``2 Sq Sk`` a head and call, in half precision), and peak
    activation bytes of a step.
    """
    chosen = one_workload(runs)
    if chosen.empty:
        return chosen
    ids = list(chosen["run_id"])
    operators = runs.table("operators", ids)
    operators = operators[operators["stage"].isin(STEP_STAGES)]
    segment = operators["operator_class"].astype(object).mask(operators["attention_part"] == "core", "attention core")
    flops = operators.assign(segment=segment).pivot_table(
        index="run_id", columns="segment", values="flops", aggfunc="sum", observed=True
    )
    attention = runs.table("attention", ids)
    first = attention[attention["step"] == 0]
    scores = first["batch"] * first["heads"] * first["query_length"] * first["key_length"] * 2
    peaks = runs.memory_peaks[runs.memory_peaks["stage"].isin(STEP_STAGES)].set_index("run_id")["activations_bytes"]
    found = chosen.set_index("run_id").join(flops[[name for name in SERIES if name in flops]])
    found["score_bytes"] = scores.groupby(first["run_id"].astype(object)).sum()
    found["peak_activation_bytes"] = peaks[~peaks.index.duplicated()]
    return found.reset_index().sort_values(["stack", "request_height"], ignore_index=True)


def one_workload(runs: Runs) -> pd.DataFrame:
    frame = runs.runs
    if "request_height" not in frame:
        return pd.DataFrame()
    square = frame[(frame["outcome"] == "ok") & (frame["request_height"] == frame["request_width"])]
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
    workload = readable(data(runs)["workload"].iloc[0]).capitalize()
    return (
        f"{workload}, all denoising steps. Left: FLOPs by operator class; numbers are exponents between the two largest sizes. "
        "Right: peak activations of a step by stack, beside the bytes that all score matrices of one step would take together "
        "in half precision (dashed, closed form), which grow with the fourth power of the side."
    )


def alt_text(runs: Runs) -> str:
    frame = data(runs)
    sizes = ", ".join(f"{size:g}" for size in sorted(frame["request_height"].unique()))
    return f"Log-log curves of FLOPs and of peak activation memory over image sides of {sizes} pixels."


def draw(runs: Runs) -> Figure | None:
    frame = data(runs)
    if frame.empty:
        return None
    figure = new_figure(2.4)
    left, right = figure.subplots(1, 2)
    one = frame[frame["stack"] == frame["stack"].iloc[0]]
    for name, colour in SERIES.items():
        if name in one and one[name].gt(0).all():
            _line(
                left,
                one["request_height"],
                one[name] / TFLOP,
                f"{name}, {slope(one['request_height'], one[name]):.1f}",
                colour,
            )
    left.set_ylabel("FLOPs of all steps (TFLOP)")
    styles = {"baseline_attention": INK}
    for stack, rows in frame.groupby("stack", sort=False):
        peak = rows["peak_activation_bytes"]
        if peak.notna().all():
            label = f"{readable(stack)}, {slope(rows['request_height'], peak):.1f}"
            _line(right, rows["request_height"], peak / GIB, label, styles.get(stack, CLASS_COLOURS["linear"]))
    right.plot(one["request_height"], one["score_bytes"] / GIB, color=FAINT, linestyle=(0, (4, 2)), linewidth=0.9,
               label=f"all scores of a step, {slope(one['request_height'], one['score_bytes']):.1f}")  # fmt: skip
    right.set_ylabel("peak activations of a step (GiB)")
    for axes in (left, right):
        _log_axes(axes, sorted(frame["request_height"].unique()))
    return figure


def _line(axes: Axes, sizes: pd.Series, values: pd.Series, label: str, colour: str) -> None:
    axes.plot(sizes, values, color=colour, marker="o", markersize=2.6, linewidth=1.1, label=label)


def _log_axes(axes: Axes, sizes: list[float]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    apart = [size for size in sizes if size == min(sizes) or np.log2(size).is_integer()]
    axes.set_xticks(apart, [f"{size:g}" for size in apart])
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.minorticks_off()
    axes.set_xlabel("image side (px)")
    axes.grid(axis="y")
    axes.legend(loc="upper left", frameon=False, handlelength=1.4)
