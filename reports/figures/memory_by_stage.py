"""Where the memory goes: the peak of each stage, weights apart from activations."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportReturnType=false
from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from reports.memory import stage_peaks
from reports.palette import WEIGHTS, stack_colours
from reports.panels import Boxes, shown, what_is_left_out
from reports.style import bars_from_zero, byte_unit, legend_on_top, narrowness, new_figure, readable
from suite.units import quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from reports.runs import Runs

SECTION, ORDER = "memory", 10
TITLE = "Peak memory by stage"
FITS_COLUMN = True

_COLUMNS = 3


def data(runs: Runs) -> pd.DataFrame:
    """Peak bytes of each stage but ``generate``, which is their maximum."""
    frame = stage_peaks(runs)
    return frame if frame.empty else frame[frame["stage"] != "generate"]


def caption(runs: Runs) -> str:
    frame = data(runs)
    counters = " and ".join(dict.fromkeys(frame["counter"]))
    return (
        f"Peak of the {counters} during each stage. Grey: weights; colour: activations and whatever else was live at the "
        "peak. The highest bar is the memory that a generation needs." + what_is_left_out(frame)
    )


def alt_text(runs: Runs) -> str:
    top = data(runs).sort_values("peak_bytes", ascending=False).drop_duplicates("run_id", keep="first")
    parts = [
        f"{row.group} with {row.stack}: {quantity(row.peak_bytes, 'bytes')} in {row.stage}" for row in top.itertuples()
    ]
    return "Bars of peak memory by stage. Highest stage of each run: " + "; ".join(parts[:16]) + "."


def draw(runs: Runs) -> Figure | None:
    frame = shown(data(runs))
    if frame.empty:
        return None
    groups = list(frame["group"].unique())
    columns = min(len(groups), max(int(_COLUMNS * narrowness()), 1))
    lines = -(-len(groups) // columns)
    figure = new_figure(0.5 + 2.0 * lines)
    panels = figure.subplots(lines, columns, squeeze=False)
    stacks = list(dict.fromkeys(frame["stack"]))
    colours = stack_colours(stacks, _baseline(frame))
    for axes, group in zip(panels.flat, groups, strict=False):
        _draw_group(axes, frame[frame["group"] == group], colours)
        axes.set_title(readable(group))
    for axes in list(panels.flat)[len(groups) :]:
        axes.set_visible(False)
    legend_on_top(figure, _legend(colours))
    return figure


def _baseline(frame: pd.DataFrame) -> str | None:
    names = frame.loc[frame["is_baseline"], "stack"]
    return None if names.empty else str(names.iloc[0])


def _draw_group(axes: Axes, rows: pd.DataFrame, colours: dict[str, str]) -> None:
    stages, run_ids = list(dict.fromkeys(rows["stage"])), list(dict.fromkeys(rows["run_id"]))
    width = 0.82 / len(run_ids)
    unit = byte_unit(float(rows["peak_bytes"].max()))
    boxes = Boxes()
    for row in rows.itertuples():
        left = stages.index(row.stage) - 0.41 + (run_ids.index(row.run_id) + 0.5) * width
        peak = float(row.peak_bytes) / unit.size
        weights = 0.0 if pd.isna(row.weights_bytes) else min(float(row.weights_bytes) / unit.size, peak)
        boxes.add((left - 0.45 * width, 0, 0.9 * width, weights), WEIGHTS, line=0)
        boxes.add((left - 0.45 * width, weights, 0.9 * width, peak - weights), colours[str(row.stack)], line=0)
    boxes.draw(axes)
    axes.set_xticks(range(len(stages)), [readable(stage).replace(" ", "\n") for stage in stages])
    axes.set_ylabel(f"peak ({unit.symbol})")
    bars_from_zero(axes, along="y")


def _legend(colours: dict[str, str]) -> dict[str, object]:
    from matplotlib.patches import Patch

    return {"weights": Patch(facecolor=WEIGHTS)} | {readable(name): Patch(facecolor=c) for name, c in colours.items()}
