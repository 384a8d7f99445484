"""Where the time goes: seconds of each operator class, with and without each optimization."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false
from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from reports.breakdown import axis_words, by_segment, clock_words
from reports.palette import CLASS_COLOURS
from reports.panels import runs_by_group, shown, stacked_rows, swatches, what_is_left_out, worth_naming
from reports.style import legend_on_top, new_figure, readable
from suite.units import rounded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from reports.runs import Runs

SECTION, ORDER = "time", 10
TITLE = "Operator breakdown"
FITS_COLUMN = True


def data(runs: Runs) -> pd.DataFrame:
    """Seconds of each segment of each run."""
    return by_segment(runs)


def caption(runs: Runs) -> str:
    frame = data(runs)
    return (
        f"Time of one generation by operator class ({clock_words(frame)}). Attention is drawn as its core (QK\u1d40, "
        "softmax, AV) and its projections (q, k, v, out), so that both readings of its share can be taken. Percentages are "
        "shares of the bar." + what_is_left_out(frame)
    )


def alt_text(runs: Runs) -> str:
    largest = data(runs).sort_values("share", ascending=False).drop_duplicates("run_id")
    parts = [f"{row.group} with {row.stack}: {row.segment} {row.share:.0%}" for row in largest.itertuples()]
    return "Stacked bars of time by operator class. Largest class of each bar: " + "; ".join(parts[:12]) + "."


def draw(runs: Runs) -> Figure | None:
    frame = shown(data(runs))
    if frame.empty:
        return None
    groups = runs_by_group(frame)
    figure = new_figure(0.55 + sum(0.19 * count + 0.5 for count in groups.values()))
    panels = figure.subplots(len(groups), 1, squeeze=False, height_ratios=[count + 0.6 for count in groups.values()])[
        :, 0
    ]
    for axes, group in zip(panels, groups, strict=True):
        rows = frame[frame["group"] == group]
        totals = rows.groupby("run_id")["seconds"].sum()
        ends = {run_id: f"{rounded(seconds)} s" for run_id, seconds in totals.items()}
        stacked_rows(axes, rows, "seconds", "segment", CLASS_COLOURS, end_labels=ends)
        axes.set_title(readable(group))
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x")
    panels[-1].set_xlabel(f"{axis_words(frame)} of one generation (s)")
    legend_on_top(figure, swatches(CLASS_COLOURS, worth_naming(frame, "segment", "seconds")))
    return figure
