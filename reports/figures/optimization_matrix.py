"""Optimizations one by one on many workloads: what each leaves of time and of peak memory."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportReturnType=false
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.comparison import in_order
from reports.facts import OUT_OF_THE_BOX
from reports.palette import BAND, FAINT, INK, ink_on
from reports.style import new_figure, readable
from reports.trade_offs import trade_offs
from suite.units import rounded

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from reports.runs import Runs

SECTION, ORDER = "optimizations", 15
TITLE = "Optimizations by workload"
FEWEST = 4
"""Of workloads and of stacks: fewer are drawn whole by other figures."""
MAX_GROUPS, MAX_STACKS = 14, 40
MEASURES = {"relative_time": "time over out of the box", "relative_memory": "peak memory over out of the box"}
BLOCKS = {True: "same output to rounding", False: "output may change"}
OUTCOME_WORDS = {"not_applicable": "n/a", "unsupported": "uns."}
_SAME = 0.02
"""Ratios that are no further from 1 have no colour."""
_FARTHEST = 4.0
"""Ratios from which on, and below whose inverse, colours are full."""
_LESS, _MORE = "#0a5a8f", "#c44e00"
_ROW_INCHES = 0.15


def data(runs: Runs) -> pd.DataFrame:
    """A row for each run beside the workload out of the box, of stacks that some workload took; empty where they are few."""
    found = trade_offs(runs)
    if found.empty:
        return pd.DataFrame()
    frame = in_order(runs)[["run_id", "group", "workload", "stack", "outcome"]]
    known = found[["run_id", "is_exact", "relative_time", "verdict", "time_is", "relative_memory"]]
    frame = frame[frame["group"].isin(found["group"])].merge(known, on="run_id", how="left")
    frame = frame[frame["stack"] != OUT_OF_THE_BOX]
    frame = frame[frame["stack"].isin(frame.loc[frame["relative_memory"].notna(), "stack"])]
    is_many = frame["group"].nunique() >= FEWEST and frame["stack"].nunique() >= FEWEST
    return frame.reset_index(drop=True) if is_many else frame.iloc[:0]


def caption(runs: Runs) -> str:
    frame = data(runs)
    how = ", ".join(sorted(frame["time_is"].dropna().unique())) or "unknown"
    taken = set(frame["stack"]) | {OUT_OF_THE_BOX}
    never = sorted(set(in_order(runs)["stack"]) - taken)
    nowhere = f" Not drawn, since none of the workloads took them: {', '.join(map(readable, never))}." if never else ""
    groups, stacks = frame["group"].nunique(), frame["stack"].nunique()
    left_out = (
        f" Drawn are {min(groups, MAX_GROUPS)} of {groups} workloads and {min(stacks, MAX_STACKS)} of {stacks} stacks."
        if groups > MAX_GROUPS or stacks > MAX_STACKS
        else ""
    )
    return (
        f"Time of a generation ({how}) and its peak of allocated memory, weights included, over those of the workload out of "
        f"the box. Blue: less; orange: more; no colour: within {_SAME:.0%}; grey: a measured time whose verdict is not clear. "
        "n/a: not applicable; uns.: unsupported; empty: not asked for. How far an output changes, the fidelity of measured "
        f"runs tells.{nowhere}{left_out}"
    )


def alt_text(runs: Runs) -> str:
    frame = data(runs)
    means = frame.groupby("stack", sort=False)[list(MEASURES)].median().dropna(how="all")
    told = [f"{stack}: {rounded(row.relative_time)} and {rounded(row.relative_memory)}"
            for stack, row in means.iterrows() if pd.notna(row.relative_time)]  # fmt: skip
    return (
        "Tables of ratios, stacks by workloads. Medians of time and of memory over workloads. " + "; ".join(told) + "."
    )


def draw(runs: Runs) -> Figure | None:
    frame = data(runs)
    if frame.empty:
        return None
    groups = list(dict.fromkeys(frame["group"]))[:MAX_GROUPS]
    rows = _rows(frame)
    figure = new_figure(0.95 + _ROW_INCHES * len(rows))
    panels = figure.subplots(1, len(MEASURES), sharey=True)
    for axes, (measure, words) in zip(panels, MEASURES.items(), strict=True):
        _draw_cells(axes, frame, measure, groups, rows)
        axes.set_xlabel(words)
        axes.xaxis.set_label_position("bottom")
    for at, name in enumerate(rows):
        if name in BLOCKS.values():
            panels[0].annotate(name, (0, at), (-4, 0), xycoords=panels[0].get_yaxis_transform(), textcoords="offset points",
                               ha="right", va="center_baseline", fontweight="bold", annotation_clip=False)  # fmt: skip
    return figure


def _rows(frame: pd.DataFrame) -> list[str]:
    """From top to bottom: what leaves the output as it is, then what may change it, each under its heading."""
    exact = frame.groupby("stack", sort=False)["is_exact"].agg(lambda flags: all(flag is not False for flag in flags))
    drawn = list(exact.index[:MAX_STACKS])
    rows: list[str] = []
    for flag, heading in BLOCKS.items():
        block = [stack for stack in drawn if exact[stack] == flag]
        rows += [heading, *block] if block else []
    return rows


def _draw_cells(axes: Axes, frame: pd.DataFrame, measure: str, groups: list[str], rows: list[str]) -> None:
    from matplotlib.patches import Rectangle

    for row in frame.to_dict("records"):
        if row["group"] not in groups or row["stack"] not in rows:
            continue
        at = (groups.index(row["group"]), rows.index(row["stack"]))
        colour, words, ink = _cell(row, measure)
        axes.add_patch(Rectangle((at[0] - 0.5, at[1] - 0.5), 1, 1, facecolor=colour, edgecolor="white", linewidth=0.6))
        axes.annotate(words, at, ha="center", va="center_baseline", fontsize=5, color=ink)
    axes.set_xlim(-0.5, len(groups) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    names = [readable(group) for group in groups]
    axes.set_xticks(range(len(groups)), names, rotation=45, ha="left", rotation_mode="anchor", fontsize=6)
    axes.xaxis.tick_top()
    axes.set_yticks(range(len(rows)), ["" if row in BLOCKS.values() else readable(row) for row in rows])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _cell(row: dict[Any, Any], measure: str) -> tuple[str, str, str]:
    """Ground, words and ink of a run's cell."""
    value = row[measure]
    if pd.isna(value):
        ended = str(row["outcome"])
        return BAND, "?" if ended == "ok" else OUTCOME_WORDS.get(ended, ended), FAINT
    words = f"{value:.2f}" if value < 9.995 else rounded(value, 2)
    if measure == "relative_time" and row["verdict"] == "UNCLEAR":
        return "#ffffff", words, FAINT
    if abs(value - 1) <= _SAME:
        return "#ffffff", words, INK
    colour = _tint(_MORE if value > 1 else _LESS, min(abs(math.log(value)) / math.log(_FARTHEST), 1))
    return colour, words, ink_on(colour)


def _tint(colour: str, strength: float) -> str:
    """A colour between a light tint of itself (0) and itself (1)."""
    share = 0.15 + 0.85 * strength
    channels = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
    return "#" + "".join(f"{round(255 - (255 - channel) * share):02x}" for channel in channels)
