"""How often each sequence length occurs, image size by image size (Golden et al. 2024, Fig. 8)."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportReturnType=false
from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from reports.figures.image_size_scaling import one_workload
from reports.palette import FAINT, KIND_COLOURS, RULE
from reports.style import legend_on_top, new_figure, readable
from suite.stage import STEP_STAGES
from suite.units import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from reports.runs import Runs

SECTION, ORDER = "time", 35
TITLE = "Distribution of sequence lengths"

_BAR_WIDTH = 0.4  # in powers of two
_ROOM = 0.6  # of a row: the height of the tallest bar


def data(runs: Runs) -> pd.DataFrame:
    """Calls of attention in the steps of one run a size, by query length and kind, and their share of the run's calls."""
    chosen = one_workload(runs)
    if chosen.empty:
        return chosen
    chosen = chosen.drop_duplicates("request_height").sort_values("request_height")
    calls = runs.table("attention", list(chosen["run_id"]))
    calls = calls[calls["stage"].isin(STEP_STAGES)].astype({"run_id": object, "attention_kind": object})
    calls["kind"] = calls["attention_kind"].where(calls["attention_kind"].isin(list(KIND_COLOURS)), "unknown")
    counts = calls.groupby(["run_id", "kind", "query_length"]).size().rename("calls").reset_index()
    counts["share"] = counts["calls"] / counts.groupby("run_id")["calls"].transform("sum")
    columns = ["run_id", "workload", "stack", "request_height"]
    return chosen[columns].merge(counts, on="run_id").sort_values(["request_height", "query_length", "kind"])


def caption(runs: Runs) -> str:
    workload = readable(data(runs)["workload"].iloc[0]).capitalize()
    return (
        f"{workload}, all denoising steps of one run for each side of a square image. Height: the share of attention calls "
        "whose queries are that many tokens long; kinds of attention are stacked."
    )


def alt_text(runs: Runs) -> str:
    longest = data(runs).groupby("request_height")["query_length"].max()
    parts = [f"{side:g} px up to {length:,.0f} tokens" for side, length in longest.items()]
    return "Bars of the share of attention calls by query length, one row an image size: " + "; ".join(parts) + "."


def draw(runs: Runs) -> Figure | None:
    frame = data(runs)
    if frame.empty:
        return None
    sides = sorted(frame["request_height"].unique())
    figure = new_figure(0.6 + 0.36 * len(sides))
    axes = figure.subplots()
    height = _ROOM / frame.groupby(["request_height", "query_length"])["share"].sum().max()
    for row, side in enumerate(sides):
        _draw_row(axes, frame[frame["request_height"] == side], row, height)
    lengths = frame["query_length"]
    axes.set_xscale("log", base=2)
    axes.set_xlim(lengths.min() / 2, lengths.max() * 2)
    ticks = 2.0 ** np.arange(np.floor(np.log2(lengths.min())), np.ceil(np.log2(lengths.max())) + 1, 2)
    axes.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
    axes.minorticks_off()
    axes.set_yticks(range(len(sides)), [f"{side:g} px" for side in sides])
    axes.set_ylim(-0.15, len(sides))
    axes.set_xlabel("query length (tokens)")
    axes.tick_params(axis="y", length=0)
    legend_on_top(figure, _legend(frame))
    return figure


def _draw_row(axes: Axes, rows: pd.DataFrame, row: int, height_of_all: float) -> None:
    axes.axhline(row, color=RULE, linewidth=0.5, zorder=0)
    for length in rows["query_length"].unique().tolist():
        bars, bottom = rows[rows["query_length"] == length], float(row)
        left, right = length * 2 ** (-_BAR_WIDTH / 2), length * 2 ** (_BAR_WIDTH / 2)
        for kind, share in zip(bars["kind"], bars["share"], strict=True):
            height = share * height_of_all
            axes.bar(left, height, right - left, bottom, align="edge", color=KIND_COLOURS.get(kind, FAINT))
            bottom += height
        axes.annotate(percent(bars["share"].sum()), (length, bottom), (0, 1.5), textcoords="offset points", ha="center",
                      fontsize=5, color=FAINT)  # fmt: skip


def _legend(frame: pd.DataFrame) -> dict[str, object]:
    from matplotlib.patches import Patch

    kinds = list(dict.fromkeys(frame["kind"]))
    return {kind: Patch(color=KIND_COLOURS.get(kind, FAINT)) for kind in KIND_COLOURS if kind in kinds}
