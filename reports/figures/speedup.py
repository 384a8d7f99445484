"""What each optimization buys: paired speed-ups with their intervals."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportReturnType=false
from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from reports.comparison import MIN_EFFECT, latencies
from reports.palette import BAND, FAINT, VERDICT_COLOURS
from reports.panels import note_beside, shown, what_is_left_out
from reports.style import narrowness, new_figure, readable
from suite.units import ratio

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from reports.runs import Runs

SECTION, ORDER = "optimizations", 10
TITLE = "Speed-up of a generation"
FITS_COLUMN = True

_AGAINST = {"ref": "reference", "box": "out of the box"}


def data(runs: Runs) -> pd.DataFrame:
    """Median latency and paired speed-ups of each run."""
    frame = latencies(runs)
    if frame.empty:
        return frame
    return frame[frame[["ref_speedup", "box_speedup"]].notna().any(axis="columns")]


def caption(runs: Runs) -> str:
    frame = data(runs)
    names = ", ".join(dict.fromkeys(frame["reference"].dropna())) or "none named"
    return (
        f"Speed-up of a whole generation against the reference ({names}) and against the workload as its library ships it. "
        "Dot: median of the ratios of paired, interleaved trials; line: its 95 % interval. Grey band: differences of "
        f"less than {MIN_EFFECT:.0%}, which count as the same." + what_is_left_out(frame)
    )


def alt_text(runs: Runs) -> str:
    parts = []
    for row in data(runs).to_dict("records"):
        for prefix, name in _AGAINST.items():
            if pd.notna(row[f"{prefix}_speedup"]):
                word = row[f"{prefix}_verdict"]
                parts.append(f"{row['group']} {row['stack']} against {name}: {ratio(row[f'{prefix}_speedup'])}, {word}")
    return "Dots with intervals of speed-up. " + "; ".join(parts[:24]) + "."


def draw(runs: Runs) -> Figure | None:
    frame = shown(data(runs)).reset_index(drop=True)
    if frame.empty:
        return None
    rows, headings, position = {}, {}, 0.0
    for group, members in frame.groupby("group", sort=False):
        headings[group] = position
        rows |= {index: position + 1 + place for place, index in enumerate(members.index)}
        position += len(members) + 1.4
    prefixes = [prefix for prefix in _AGAINST if frame[f"{prefix}_speedup"].notna().any()]
    figure = new_figure(0.6 + 0.155 * position)
    panels = figure.subplots(1, len(prefixes), squeeze=False, sharey=True)[0]
    between = " " if narrowness() == 1 else "\n"
    for axes, prefix in zip(panels, prefixes, strict=True):
        _draw_panel(axes, frame, prefix, rows)
        axes.set_ylim(position - 1.0, -0.8)
        axes.set_xlabel(f"speed-up over{between}{_AGAINST[prefix]}")
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
        speedup = row[f"{prefix}_speedup"]
        if pd.isna(speedup):
            axes.annotate(
                "itself", (1, at), (4, 0), textcoords="offset points", va="center_baseline", fontsize=6, color=FAINT
            )
            continue
        colour = VERDICT_COLOURS[row[f"{prefix}_verdict"]]
        low, high = row[f"{prefix}_low"], row[f"{prefix}_high"]
        if pd.notna(low):
            axes.plot([low, high], [at, at], color=colour, linewidth=1.6, solid_capstyle="butt")
        axes.plot(speedup, at, "o", color=colour, markersize=3.6, markeredgecolor="white", markeredgewidth=0.4)
        text = f"{ratio(speedup)} {row[f'{prefix}_verdict'].lower()}"
        edge = max(speedup, high) if pd.notna(high) else speedup
        note_beside(axes, text, (edge, at))
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    left, right = axes.get_xlim()
    axes.set_xlim(left, right + 0.28 / narrowness() ** 1.6 * (right - left))  # room for the words
