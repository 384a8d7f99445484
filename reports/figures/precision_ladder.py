"""What each rung of the precision ladder leaves of time and memory, and what it does to the output."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportCallIssue=false, reportReturnType=false
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.comparison import MIN_EFFECT
from reports.facts import OUT_OF_THE_BOX
from reports.palette import BAND, FAINT, INK
from reports.panels import shown, what_is_left_out
from reports.precision_ladder import precision_ladder
from reports.ratios import amount, judged_pace
from reports.style import legend_on_top, new_figure, readable
from suite.units import quantity, ratio, rounded

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from reports.runs import Runs

SECTION, ORDER = "optimizations", 50
TITLE = "Precision ladder"

TIME, MEMORY = "#0a7abf", "#e0701a"
_NARROW = 1.2
"""Widest span of the axis, as a factor beside 1, that has room for the marks."""
_COLUMNS = {"time": 28, "memory": 32, "PSNR": 26, "first": 30, "USD": 26}
"""Columns of numbers right of a panel, and how wide they are, in points."""


def data(runs: Runs) -> pd.DataFrame:
    """Every rung of every group."""
    return precision_ladder(runs)


def caption(runs: Runs) -> str:
    frame = data(runs)
    kinds = " and ".join(dict.fromkeys(frame["time_is"].dropna())) or "not known"
    machines = ", ".join(dict.fromkeys(frame["machine"].dropna()))
    price = f" USD: for 1,000 images or videos on the {machines}." if machines else ""
    unknown = "" if "measured" in kinds else " What a layout does inside a kernel is in no estimate."
    return (
        f"Time of a generation ({kinds}) and peak memory over the workload out of the box, in the precision that it was built "
        f"in; dots: medians of paired ratios, lines: their 95 % intervals, grey: differences of less than {MIN_EFFECT:.0%}. "
        f"Numbers: both ratios (out of the box: what they are ratios of){_psnr_words(frame)}{_first_words(frame)}."
        f"{price}{unknown}{_not_run(frame)}" + what_is_left_out(frame)
    )


def alt_text(runs: Runs) -> str:
    parts = [
        f"{row['group']} {row['stack']}: {judged_pace(row['relative_time'], row['verdict'])}, "
        f"{amount(row['relative_memory'])} memory, output {row['output']}"
        for row in data(runs).to_dict("records")
        if row["outcome"] == "ok"
    ]
    return "Dots of time and squares of memory by rung, on a logarithmic axis. " + "; ".join(parts[:24]) + "."


def _psnr_words(frame: pd.DataFrame) -> str:
    if frame["max_relative_error"].isna().all():
        return ""
    return "; PSNR of the output to that out of the box at the same seed, = where the largest difference is rounding"


def _first_words(frame: pd.DataFrame) -> str:
    return (
        "" if frame["first_s"].isna().all() else "; the very first generation, compilation included, which is no trial"
    )


def _not_run(frame: pd.DataFrame) -> str:
    kept = frame[frame["outcome"] != "ok"].drop_duplicates(["stack", "outcome"])
    told = [f"{readable(row['stack'])} ({readable(row['outcome'])})" for row in kept.to_dict("records")]
    return f" Did not run: {', '.join(told)}." if told else ""


def draw(runs: Runs) -> Figure | None:
    frame = shown(data(runs))
    if frame.empty:
        return None
    groups = list(frame.groupby("group", sort=False))
    heights = [len(rows) + 2.2 for _, rows in groups]
    figure = new_figure(0.45 + 0.165 * sum(heights))
    panels = figure.subplots(len(groups), 1, squeeze=False, sharex=True, gridspec_kw={"height_ratios": heights})[:, 0]
    for axes, (group, rows) in zip(panels, groups, strict=True):
        _draw_group(axes, rows.to_dict("records"), _columns(frame))
        axes.set_title(readable(str(group)))
    panels[-1].set_xlabel("time and peak memory over out of the box")
    _set_limits(panels[0], frame)
    legend_on_top(figure, _legend())
    return figure


def _columns(frame: pd.DataFrame) -> dict[str, int]:
    """Columns that have any number, and where they end."""
    known = {"PSNR": "max_relative_error", "first": "first_s", "USD": "usd_per_1000"}
    found, end = {}, 0
    for name, width in _COLUMNS.items():
        if name not in known or frame[known[name]].notna().any():
            end += width
            found[name] = end
    return found


def _set_limits(axes: Axes, frame: pd.DataFrame) -> None:
    """All panels share a logarithmic axis that shows 1, every ratio and every interval."""
    values = frame[["relative_time", "relative_memory", "time_low", "time_high"]].astype(float)
    low, high = min(values.min().min(), 1 / _NARROW), max(values.max().max(), _NARROW)
    axes.set_xscale("log", base=2)
    axes.set_xlim(low / 1.15, high * 1.15)
    axes.xaxis.set_major_formatter(_plain)
    axes.minorticks_off()


def _draw_group(axes: Axes, rows: list[dict[Any, Any]], columns: dict[str, int]) -> None:
    axes.axvspan(1 / (1 + MIN_EFFECT), 1 + MIN_EFFECT, color=BAND, linewidth=0)
    for name, at in columns.items():
        _beside(axes, name, (at, -0.95), FAINT)
    for place, row in enumerate(rows):
        ran = row["outcome"] == "ok"
        if ran:
            _draw_rung(axes, row, place)
        for name, at in columns.items():
            _beside(axes, _words(row)[name] if ran else "", (at, place), INK)
        if not ran:
            axes.annotate(readable(row["outcome"]), (1, place), (-4, 0), textcoords="offset points", ha="right",
                          va="center_baseline", fontsize=6, color=FAINT)  # fmt: skip
    axes.set_yticks(range(len(rows)), [readable(row["stack"]) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")


def _draw_rung(axes: Axes, row: dict[Any, Any], place: int) -> None:
    edge: dict[str, Any] = {"markeredgecolor": "white", "markeredgewidth": 0.4}
    axes.plot(row["relative_memory"], place + 0.17, "s", color=MEMORY, markersize=3.4, zorder=3, **edge)
    if pd.isna(row["relative_time"]):
        return
    if pd.notna(row["time_low"]):
        axes.plot([row["time_low"], row["time_high"]], [place - 0.17] * 2, color=TIME, linewidth=1.4,
                  solid_capstyle="butt")  # fmt: skip
    axes.plot(row["relative_time"], place - 0.17, "o", color=TIME, markersize=3.8, zorder=3, **edge)


def _words(row: dict[Any, Any]) -> dict[str, str]:
    """What stands in the columns of numbers."""
    is_itself = row["stack"] == OUT_OF_THE_BOX
    price = "" if pd.isna(row["usd_per_1000"]) else rounded(row["usd_per_1000"])
    return {
        "time": quantity(row["seconds"], "s") if is_itself else ratio(row["relative_time"]),
        "memory": quantity(row["peak_bytes"], "bytes") if is_itself else ratio(row["relative_memory"]),
        "PSNR": "" if is_itself else _distance(row),
        "first": "" if pd.isna(row["first_s"]) else quantity(row["first_s"], "s"),
        "USD": price,
    }


def _distance(row: dict[Any, Any]) -> str:
    if row["output"] == "identical" or str(row["output"]).startswith("exact ("):
        return "="
    return "" if pd.isna(row["psnr_db"]) else f"{row['psnr_db']:.0f} dB"


def _beside(axes: Axes, words: str, place: tuple[float, float], colour: str) -> None:
    """Words right of a panel that end at a place: points from its edge, and a row."""
    axes.annotate(words, (1, place[1]), (place[0], 0), xycoords=axes.get_yaxis_transform(), textcoords="offset points",
                  ha="right", va="center_baseline", fontsize=6, color=colour, annotation_clip=False)  # fmt: skip


def _legend() -> dict[str, Any]:
    from matplotlib.lines import Line2D

    return {
        "time": Line2D([], [], color=TIME, marker="o", markersize=3.8, linestyle="none"),
        "peak memory": Line2D([], [], color=MEMORY, marker="s", markersize=3.4, linestyle="none"),
    }


def _plain(value: float, _: object) -> str:
    return f"{value:g}" if value >= 1 else f"1/{1 / value:g}"
