"""What is left of the baseline's time, by operator class: every workload on one axis."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportCallIssue=false, reportOperatorIssue=false, reportReturnType=false
from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from reports.breakdown import by_segment
from reports.palette import CLASS_COLOURS, ink_on
from reports.panels import MAX_GROUPS, Boxes, shown, swatches, what_is_left_out, without_shared_ending, worth_naming
from reports.style import bars_from_zero, legend_on_top, new_figure, readable
from suite.units import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from reports.runs import Runs

SECTION, ORDER = "optimizations", 20
TITLE = "Operator breakdown, relative to the baseline"
FITS_COLUMN = True

_MAX_PAIRS = 10  # groups of two runs each, as in Golden et al. 2024, Fig. 6; of larger groups there is room for fewer
_MAX_LABELLED = 20  # bars; more are too narrow for percentages
_GAP = 0.7  # between workloads, in bars


def data(runs: Runs) -> pd.DataFrame:
    """Seconds of each segment as a share of the whole time of the group's baseline run."""
    frame = by_segment(runs)
    if frame.empty:
        return frame
    compared = frame.groupby("group")["run_id"].transform("nunique") > 1
    return frame[compared & frame["relative"].notna()]


def caption(runs: Runs) -> str:
    frame = data(runs)
    baselines = ", ".join(dict.fromkeys(frame.loc[frame["is_baseline"], "stack"]))
    return (
        f"Time by operator class as a share of the baseline's whole time (baseline: {baselines}); a bar that ends below 1 "
        "needs less operator time than the baseline. Each bar is a run of its own, so small differences between bars are "
        "drift between runs: the paired times say what is certain." + what_is_left_out(frame, _room(frame))
    )


def alt_text(runs: Runs) -> str:
    totals = data(runs).groupby(["group", "stack"], sort=False)["relative"].sum()
    parts = [f"{group} with {stack} {value:.2f}" for (group, stack), value in totals.items()]
    return "Stacked bars of operator time relative to the baseline: " + "; ".join(parts[:20]) + "."


def draw(runs: Runs) -> Figure | None:
    frame = data(runs)
    if frame.empty:
        return None
    frame = shown(frame, _room(frame))
    figure = new_figure(2.7)
    axes = figure.subplots()
    positions, centres = _positions(frame)
    top = float(frame.groupby("run_id")["relative"].sum().max())
    least = 0.07 * top if len(positions) <= _MAX_LABELLED else top
    boxes = Boxes()
    for run_id, bar in frame.groupby("run_id", sort=False):
        _draw_bar(axes, boxes, positions[str(run_id)], bar, least)
    boxes.draw(axes)
    stacks = frame.drop_duplicates("run_id").set_index("run_id")["stack"]
    labels, ending = without_shared_ending([readable(stacks[run_id]) for run_id in positions])
    axes.set_xticks(list(positions.values()), labels, rotation=38, ha="right", rotation_mode="anchor")
    axes.set_xlabel(ending)
    crowded = len(centres) > MAX_GROUPS
    for group, centre in centres.items():
        name = readable(group).replace(" ", "\n") if crowded else readable(group)
        axes.text(centre, top * 1.09, name, ha="center", va="bottom", fontsize=6 if crowded else 7, fontweight="bold")
    axes.set_xlim(-0.6, max(positions.values()) + 0.6)
    bars_from_zero(axes, along="y")
    axes.set_ylim(0, top * 1.08)
    axes.set_ylabel("time / baseline's time")
    legend_on_top(figure, swatches(CLASS_COLOURS, worth_naming(frame, "segment", "relative")))
    return figure


def _room(frame: pd.DataFrame) -> int:
    """How many groups there is room for."""
    is_pairs = frame.groupby("group")["run_id"].nunique().max() <= 2
    return _MAX_PAIRS if is_pairs else MAX_GROUPS


def _positions(frame: pd.DataFrame) -> tuple[dict[str, float], dict[str, float]]:
    """Where each run's bar stands and where each group's name goes, in bar widths."""
    positions, centres, here = {}, {}, 0.0
    for group, rows in frame.groupby("group", sort=False):
        run_ids = list(rows["run_id"].unique())
        positions |= {run_id: here + index for index, run_id in enumerate(run_ids)}
        centres[str(group)] = here + (len(run_ids) - 1) / 2
        here += len(run_ids) + _GAP
    return positions, centres


def _draw_bar(axes: Axes, boxes: Boxes, position: float, bar: pd.DataFrame, least_labelled: float) -> None:
    bottom = 0.0
    for segment, height, share in zip(bar["segment"], bar["relative"], bar["share"], strict=True):
        colour = CLASS_COLOURS[segment]
        boxes.add((position - 0.43, bottom, 0.86, height), colour)
        if height > least_labelled:
            axes.text(position, bottom + height / 2, percent(share), ha="center", va="center_baseline", fontsize=5,
                      color=ink_on(colour))  # fmt: skip
        bottom += height
    axes.annotate(f"{bottom:.2f}", (position, bottom), (0, 2), textcoords="offset points", ha="center", fontsize=6,
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.3})  # fmt: skip
