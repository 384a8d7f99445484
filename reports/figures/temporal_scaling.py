"""FLOPs of temporal and of spatial attention over the number of frames, and where they cross (Golden et al. 2024, Fig. 13)."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportGeneralTypeIssues=false, reportReturnType=false
from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from reports.palette import KIND_COLOURS
from reports.style import COLUMN_INCHES, new_figure, readable
from suite.stage import STEP_STAGES
from suite.units import unit_for

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from reports.runs import Runs

SECTION, ORDER = "time", 61
TITLE = "Growth with frames"

MIN_LENGTHS = 3


@lru_cache(maxsize=2)
def data(runs: Runs) -> pd.DataFrame:
    """FLOPs of the attention core of one step, by kind, of the first workload run at `MIN_LENGTHS` numbers of frames or more.

    ``crossing_frames`` is the number of frames at which both kinds would take the same FLOPs: temporal ones grow with its
    square, spatial ones with itself, so their ratio tells it from any one run.
    """
    chosen = _one_workload(runs)
    if chosen.empty:
        return chosen
    rows = runs.table("operators", list(chosen["run_id"]))
    first = rows[rows["stage"].isin(STEP_STAGES) & (rows["step"] == 0) & (rows["attention_part"] == "core")]
    flops = first.pivot_table(index="run_id", columns="attention_kind", values="flops", aggfunc="sum", observed=True)
    if not {"spatial", "temporal"} <= set(flops.columns):
        return pd.DataFrame()
    found = chosen.set_index("run_id").join(flops[["spatial", "temporal"]]).reset_index()
    found["crossing_frames"] = found["request_num_frames"] * found["spatial"] / found["temporal"]
    return found.sort_values(["request_height", "request_num_frames"], ignore_index=True)


def _one_workload(runs: Runs) -> pd.DataFrame:
    frame = runs.runs
    if "request_num_frames" not in frame:
        return pd.DataFrame()
    known = frame[frame["is_complete"] & frame["request_num_frames"].notna()]
    for _, rows in known.groupby(["workload", "scale", "execution", "stack"], sort=False, dropna=False):
        one = rows.drop_duplicates(["request_height", "request_width", "request_num_frames"])
        if one.groupby("request_height")["request_num_frames"].nunique().max() >= MIN_LENGTHS:
            return one[["run_id", "workload", "request_height", "request_width", "request_num_frames"]].copy()
    return pd.DataFrame()


def caption(runs: Runs) -> str:
    frame = data(runs)
    crossings = frame.groupby(["request_height", "request_width"])["crossing_frames"].median()
    sizes = [f"{height:g} x {width:g} px" for height, width in crossings.index.tolist()]
    told = "; ".join(f"{size}: {frames:,.0f} frames" for size, frames in zip(sizes, crossings, strict=True))
    workload = readable(frame["workload"].iloc[0]).capitalize()
    return (
        f"{workload}: FLOPs of the attention core of one denoising step. Spatial ones grow "
        f"with the frames, temporal ones with their square; they cross at {told} (dots on the dotted lines)."
    )


def alt_text(runs: Runs) -> str:
    return "Log-log lines of attention FLOPs over frames, spatial and temporal, one pair an image size. " + caption(
        runs
    )


def draw(runs: Runs) -> Figure | None:
    frame = data(runs)
    if frame.empty:
        return None
    figure = new_figure(2.6, COLUMN_INCHES)
    axes = figure.subplots()
    unit = unit_for(frame["spatial"], "flops")
    for size, rows in frame.groupby("request_height", sort=True):
        frames = rows["request_num_frames"].to_numpy(float)
        crossing = float(rows["crossing_frames"].median())
        beyond = np.array([frames[-1], max(crossing, frames[-1])])
        for kind, power in (("spatial", 1), ("temporal", 2)):
            values = rows[kind].to_numpy(float) / unit.size
            axes.plot(frames, values, color=KIND_COLOURS[kind], marker="o", markersize=2.4, linewidth=1.1)
            axes.plot(
                beyond,
                values[-1] * (beyond / frames[-1]) ** power,
                color=KIND_COLOURS[kind],
                linestyle=":",
                linewidth=0.8,
            )
        meeting = rows["spatial"].iloc[-1] / unit.size * crossing / frames[-1]
        axes.plot(
            crossing, meeting, marker="o", markersize=3.4, color="white", markeredgecolor=KIND_COLOURS["temporal"]
        )
        axes.annotate(f"{size:g} px", (crossing, meeting), (-5, 2), textcoords="offset points", ha="right", fontsize=6,
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5})  # fmt: skip
    for kind in ("spatial", "temporal"):
        axes.plot([], [], color=KIND_COLOURS[kind], marker="o", markersize=2.4, label=kind)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    axes.minorticks_off()
    axes.set_xlabel("frames")
    axes.set_ylabel(f"{unit.symbol} of attention a step")
    axes.grid(axis="y")
    axes.legend(loc="upper left", frameon=False)
    return figure
