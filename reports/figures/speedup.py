"""What each optimization does to the time of a generation: paired ratios with their intervals."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportReturnType=false
from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from reports.comparison import MIN_EFFECT, times_over
from reports.palette import BAND, FAINT, VERDICT_COLOURS
from reports.panels import note_beside, shown, what_is_left_out
from reports.ratios import judged_pace
from reports.style import narrowness, new_figure, readable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from reports.runs import Runs

SECTION, ORDER = "optimizations", 10
TITLE = "Time of a generation over others"
FITS_COLUMN = True

_AGAINST = {"box": "out of the box", "ref": "reference"}


def data(runs: Runs) -> pd.DataFrame:
    """Median latency and paired ratios of each run."""
    frame = times_over(runs)
    if frame.empty:
        return frame
    return frame[frame[[f"{prefix}_time" for prefix in _AGAINST]].notna().any(axis="columns")]


def caption(runs: Runs) -> str:
    frame = data(runs)
    names = ", ".join(dict.fromkeys(frame["reference"].dropna())) or "none named"
    return (
        "Time of a whole generation over that of the workload as its library ships it, and over that of the reference "
        f"({names}); left of 1 is faster. "
        "Dot: median of the ratios of paired, interleaved trials; line: its 95 % interval. Grey band: differences of "
        f"less than {MIN_EFFECT:.0%}, which count as the same." + what_is_left_out(frame)
    )


def alt_text(runs: Runs) -> str:
    parts = []
    for row in data(runs).to_dict("records"):
        for prefix, name in _AGAINST.items():
            if pd.notna(row[f"{prefix}_time"]):
                words = judged_pace(row[f"{prefix}_time"], row[f"{prefix}_verdict"])
                parts.append(f"{row['group']} {row['stack']} beside {name}: {words}")
    return "Dots with intervals of time. " + "; ".join(parts[:24]) + "."


def draw(runs: Runs) -> Figure | None:
    frame = shown(data(runs)).reset_index(drop=True)
    if frame.empty:
        return None
    rows, headings, position = {}, {}, 0.0
    for group, members in frame.groupby("group", sort=False):
        headings[group] = position
        rows |= {index: position + 1 + place for place, index in enumerate(members.index)}
        position += len(members) + 1.4
    prefixes = [prefix for prefix in _AGAINST if frame[f"{prefix}_time"].notna().any()]
    figure = new_figure(0.6 + 0.155 * position)
    panels = figure.subplots(1, len(prefixes), squeeze=False, sharey=True)[0]
    between = " " if narrowness() == 1 else "\n"
    for axes, prefix in zip(panels, prefixes, strict=True):
        _draw_panel(axes, frame, prefix, rows)
        axes.set_ylim(position - 1.0, -0.8)
        axes.set_xlabel(f"time over{between}{_AGAINST[prefix]}")
    ticks = {**{at: readable(str(group)) for group, at in headings.items()}}
    ticks |= {at: readable(frame.loc[index, "stack"]) for index, at in rows.items()}
    panels[0].set_yticks(list(ticks), list(ticks.values()))
    for label, at in zip(panels[0].get_yticklabels(), ticks, strict=True):
        label.set_fontweight("bold" if at in headings.values() else "normal")
    return figure


def _draw_panel(axes: Axes, frame: pd.DataFrame, prefix: str, rows: dict[int, float]) -> None:
    axes.axvspan(1 / (1 + MIN_EFFECT), 1 + MIN_EFFECT, color=BAND, linewidth=0)
    axes.axvline(1, color=FAINT, linewidth=0.6)
    for index, at in rows.items():
        row = frame.loc[index]
        over = row[f"{prefix}_time"]
        if pd.isna(over):
            axes.annotate(
                "itself", (1, at), (4, 0), textcoords="offset points", va="center_baseline", fontsize=6, color=FAINT
            )
            continue
        colour = VERDICT_COLOURS[row[f"{prefix}_verdict"]]
        low, high = row[f"{prefix}_time_low"], row[f"{prefix}_time_high"]
        if pd.notna(low):
            axes.plot([low, high], [at, at], color=colour, linewidth=1.6, solid_capstyle="butt")
        axes.plot(over, at, "o", color=colour, markersize=3.6, markeredgecolor="white", markeredgewidth=0.4)
        edge = max(over, high) if pd.notna(high) else over
        note_beside(axes, judged_pace(over, row[f"{prefix}_verdict"]), (edge, at))
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    left, right = axes.get_xlim()
    axes.set_xlim(left, right + 0.28 / narrowness() ** 1.6 * (right - left))  # room for the words
