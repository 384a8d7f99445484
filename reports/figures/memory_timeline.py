"""Memory through one generation, with and without each optimization."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportReturnType=false
from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from reports.comparison import in_order
from reports.memory import best_counter, stage_peaks
from reports.palette import BAND, FAINT, WEIGHTS, stack_colours
from reports.panels import shown, span_number, what_is_left_out
from reports.style import byte_unit, legend_on_top, narrowness, new_figure, readable
from reports.timeline import laid_out
from suite.units import quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from reports.runs import Runs

SECTION, ORDER = "memory", 20
TITLE = "Memory over time"
FITS_COLUMN = True

SECONDS, CALLS = "time since the start of the generation (s)", "stages, and operator calls within each"

_LETTER_SHARE = 0.0075  # of the axis: what a letter of a stage's name needs
_MAX_LINES = 5  # of one panel; more cannot be told apart


def data(runs: Runs) -> pd.DataFrame:
    """Time line of the runs that are drawn: the baseline and the first stacks of each group.

    ``position`` is what the horizontal axis shows, ``axis`` what that is: seconds, or calls where a simulation has no times.
    """
    chosen = _chosen(runs)
    if chosen.empty:
        return pd.DataFrame()
    rows = runs.table("memory", list(chosen["run_id"]))
    if rows.empty:
        return pd.DataFrame()
    best = best_counter(rows)
    timed = rows["t_s"].notna().groupby(rows["run_id"].astype(object)).transform("any")
    line = rows[["run_id", "t_s", "call", "stage", "step"]].assign(
        bytes=best["bytes"],
        counter=best["counter"],
        axis=timed.map({True: SECONDS, False: CALLS}),
    )
    line = line[line["bytes"].notna() & (line["t_s"].notna() | ~timed)].astype({"run_id": object, "stage": object})
    drawn = chosen.merge(line, on="run_id", sort=False)
    measured = drawn["axis"] == SECONDS
    parts = [drawn[measured].assign(position=lambda rows: rows["t_s"]), laid_out(drawn[~measured])]
    return pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)


def caption(runs: Runs) -> str:
    frame = data(runs)
    counters = " and ".join(dict.fromkeys(frame["counter"]))
    return (
        f"{counters.capitalize()} through one generation, {_from_where(frame)}. Dashed: weights; the axis starts just "
        "below them, so only what comes on top can be compared by height. A line that leaves the panel went on for longer "
        "than there is room for. The bands are the spans of each panel's first run, every other one shaded; the shortest go "
        "without their name." + what_is_left_out(stage_peaks(runs))
    )


def alt_text(runs: Runs) -> str:
    top = data(runs).groupby(["group", "stack"], sort=False)["bytes"].max()
    parts = [f"{group} with {stack} reaches {quantity(value, 'bytes')}" for (group, stack), value in top.items()]
    return "Lines of memory over time. " + "; ".join(parts[:16]) + "."


def draw(runs: Runs) -> Figure | None:
    frame = data(runs)
    if frame.empty:
        return None
    groups = list(frame["group"].unique())
    figure = new_figure(0.45 + 1.25 * len(groups))
    panels = figure.subplots(len(groups), 1, squeeze=False)[:, 0]
    stacks = list(dict.fromkeys(frame["stack"]))
    baselines = frame.loc[frame["is_baseline"], "stack"]
    colours = stack_colours(stacks, None if baselines.empty else str(baselines.iloc[0]))
    peaks = stage_peaks(runs)
    axis_of = frame.groupby("group", sort=False)["axis"].first()
    for axes, group in zip(panels, groups, strict=True):
        weights = peaks.loc[peaks["group"] == group, "weights_bytes"].max() if len(peaks) else float("nan")
        _draw_group(axes, frame[frame["group"] == group], colours, float(weights))
        axes.set_title(readable(group), pad=9)
        if axis_of[group] == CALLS:
            axes.set_xticks([])
    for kind in axis_of.unique():  # said once, below the last panel that it is true of
        panels[max(index for index, group in enumerate(groups) if axis_of[group] == kind)].set_xlabel(kind)
    legend_on_top(figure, _legend(colours))
    return figure


def _from_where(frame: pd.DataFrame) -> str:
    simulated = (
        "simulated, in the order of its operators: stages as wide as each other, each with the first of its steps"
    )
    words = {SECONDS: "from its start", CALLS: simulated}
    return " or ".join(words[kind] for kind in dict.fromkeys(frame["axis"]))


def _chosen(runs: Runs) -> pd.DataFrame:
    ordered = in_order(runs)
    ordered = shown(ordered[ordered["is_complete"]])[["run_id", "group", "workload", "stack", "is_baseline"]]
    return ordered.groupby("group", sort=False).head(_MAX_LINES)


def _draw_group(axes: Axes, rows: pd.DataFrame, colours: dict[str, str], weights: float) -> None:
    top = float(rows["bytes"].max())
    unit = byte_unit(top)
    for _, line in rows.groupby("run_id", sort=False):
        colour = colours[line["stack"].iloc[0]]
        axes.step(line["position"], line["bytes"] / unit.size, where="post", color=colour, linewidth=0.8)
    end = _axis_end(rows)
    _shade_stages(axes, rows[rows["run_id"] == rows["run_id"].iloc[0]], end)
    bottom = 0.0
    if weights <= float(rows["bytes"].min()) * 1.001:  # also false where weights are not known
        axes.axhline(weights / unit.size, color=WEIGHTS, linestyle=(0, (4, 2)), linewidth=0.9)
        bottom = max(weights - 0.12 * (top - weights), 0.0)
    axes.set_xlim(0, end)
    axes.set_ylim(bottom / unit.size, (top + 0.06 * (top - bottom)) / unit.size)
    axes.set_ylabel(unit.symbol)
    axes.grid(axis="y")


def _axis_end(rows: pd.DataFrame) -> float:
    """End of the horizontal axis: the longest run, unless it is an outlier that would squeeze the others together."""
    ends = rows.groupby("run_id")["position"].max()
    return float(min(ends.max(), 1.6 * ends.median()))


def _shade_stages(axes: Axes, line: pd.DataFrame, axis_end: float) -> None:
    """Alternate bands for the spans, and the name of each stage above them where there is room for it."""
    starts = line.groupby(span_number(line)).agg(start=("position", "min"), stage=("stage", "first"))
    ends = [*starts["start"].iloc[1:], float(line["position"].max())]
    for index, (start, end) in enumerate(zip(starts["start"], ends, strict=True)):
        if index % 2:
            axes.axvspan(start, end, color=BAND, linewidth=0, zorder=0)
    stages = starts.assign(end=ends)
    stages = stages[stages["stage"] != "generate"]  # what lies between the stages needs no name
    extents = stages.groupby("stage", sort=False).agg(start=("start", "min"), end=("end", "max"))
    for stage, start, end in extents.clip(upper=axis_end).itertuples():
        if end - start > _LETTER_SHARE / narrowness() * len(stage) * axis_end:
            axes.annotate(readable(stage), ((start + end) / 2, 1), (0, 2), xycoords=("data", "axes fraction"), fontsize=5.5,
                          textcoords="offset points", color=FAINT, ha="center", annotation_clip=False)  # fmt: skip


def _legend(colours: dict[str, str]) -> dict[str, object]:
    from matplotlib.lines import Line2D

    entries: dict[str, object] = {readable(name): Line2D([], [], color=c, linewidth=1.2) for name, c in colours.items()}
    return entries | {"weights": Line2D([], [], color=WEIGHTS, linestyle=(0, (4, 2)), linewidth=0.9)}
