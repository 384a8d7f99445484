"""What each stack costs and buys: memory, time and fidelity in three aligned panels."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportReturnType=false
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.comparison import MIN_EFFECT
from reports.facts import OUT_OF_THE_BOX
from reports.palette import BAND, FAINT, INK, VERDICT_COLOURS, WEIGHTS
from reports.panels import note_beside, shown, what_is_left_out
from reports.ratios import amount, judged_pace
from reports.style import bars_from_zero, legend_on_top, new_figure, readable
from reports.trade_offs import fidelity_words, trade_offs
from suite.units import quantity, ratio

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from reports.runs import Runs

SECTION, ORDER = "optimizations", 30
TITLE = "Memory, time and fidelity"

EXACT, APPROXIMATE = "#0a7abf", "#e0701a"


def data(runs: Runs) -> pd.DataFrame:
    """Every stack beside the workload out of the box."""
    return trade_offs(runs)


def caption(runs: Runs) -> str:
    frame = data(runs)
    kinds = " and ".join(dict.fromkeys(frame["time_is"].dropna())) or "not known"
    return (
        "Left: peak memory relative to the workload out of the box; grey: weights; in brackets: "
        "the same of what lives beside them. Middle: time of a generation relative to "
        f"it ({kinds}); dot: median of paired ratios, line: its 95 % interval, grey band: differences of less than "
        f"{MIN_EFFECT:.0%}. Right: PSNR of the output to the unoptimized one from the same seed, and its SSIM. Blue: the "
        "output must be the same to rounding, and the largest relative error found is told; orange: it may change."
        + what_is_left_out(frame)
    )


def alt_text(runs: Runs) -> str:
    parts = [
        f"{row['group']} {row['stack']}: {amount(row['relative_memory'])} memory, "
        f"{judged_pace(row['relative_time'], row['verdict'])}, output {fidelity_words(row)}"
        for row in data(runs).to_dict("records")
        if row["stack"] != OUT_OF_THE_BOX
    ]
    return "Bars of memory, dots of time and of fidelity. " + "; ".join(parts[:24]) + "."


def draw(runs: Runs) -> Figure | None:
    frame = shown(data(runs)).reset_index(drop=True)
    if frame.empty:
        return None
    rows, headings, position = {}, {}, 0.0
    for group, members in frame.groupby("group", sort=False):
        headings[position] = str(group).replace("_", " ")
        rows |= {position + 1 + place: row for place, row in enumerate(members.to_dict("records"))}
        position += len(members) + 1.4
    figure = new_figure(0.75 + 0.155 * position)
    panels = figure.subplots(1, 3, sharey=True, gridspec_kw={"width_ratios": [1.4, 1, 1]})
    for axes, draw_panel in zip(panels, (_memory, _time, _fidelity), strict=True):
        draw_panel(axes, rows)
        axes.tick_params(axis="y", length=0)
    panels[0].set_ylim(position - 1.0, -0.8)
    panels[0].set_yticks(list(rows), [readable(row["stack"]) for row in rows.values()])
    for at, heading in headings.items():
        panels[0].annotate(heading, (0, at), (3, 0), textcoords="offset points", va="center_baseline", fontweight="bold",
                           annotation_clip=False).set_in_layout(False)  # fmt: skip
    legend_on_top(figure, _legend())
    return figure


def _memory(axes: Axes, rows: dict[float, dict[Any, Any]]) -> None:
    for at, row in rows.items():
        whole = row["relative_memory"]
        weights = 0.0 if pd.isna(row["weights_bytes"]) else whole * row["weights_bytes"] / row["peak_bytes"]
        axes.barh(at, weights, height=0.7, color=WEIGHTS, linewidth=0)
        axes.barh(at, whole - weights, left=weights, height=0.7, color=_colour(row), linewidth=0)
        words = quantity(row["peak_bytes"], "bytes")
        if row["stack"] != OUT_OF_THE_BOX:
            beside = "" if pd.isna(row["relative_beside"]) else f" ({ratio(row['relative_beside'])})"
            words = f"{ratio(whole)}{beside}, {words}"
        note_beside(axes, words, (whole, at))
    bars_from_zero(axes)
    largest = max(row["relative_memory"] for row in rows.values())
    axes.set_xlim(0, 2.15 * largest)  # room for the words
    axes.set_xticks([tick for tick in axes.get_xticks() if tick <= 1.05 * largest])
    axes.set_xlabel("peak memory over out of the box")


def _time(axes: Axes, rows: dict[float, dict[Any, Any]]) -> None:
    axes.axvspan(1 / (1 + MIN_EFFECT), 1 + MIN_EFFECT, color=BAND, linewidth=0)
    axes.axvline(1, color=FAINT, linewidth=0.6)
    for at, row in rows.items():
        if pd.isna(row["relative_time"]):
            _say(axes, "itself" if row["stack"] == OUT_OF_THE_BOX else "not timed", 1, at)
            continue
        colour = VERDICT_COLOURS.get(row["verdict"], INK)
        if pd.notna(row["time_low"]):
            axes.plot([row["time_low"], row["time_high"]], [at, at], color=colour, linewidth=1.6, solid_capstyle="butt")
        axes.plot(
            row["relative_time"], at, "o", color=colour, markersize=3.6, markeredgecolor="white", markeredgewidth=0.4
        )
        edge = row["relative_time"] if pd.isna(row["time_high"]) else max(row["time_high"], row["relative_time"])
        note_beside(axes, judged_pace(row["relative_time"], row["verdict"]), (edge, at))
    axes.grid(axis="x")
    left, right = axes.get_xlim()
    axes.set_xlim(left, right + 0.6 * (right - left))  # room for the words
    axes.set_xlabel("time over out of the box")


def _fidelity(axes: Axes, rows: dict[float, dict[Any, Any]]) -> None:
    known = [row["psnr_db"] for row in rows.values() if _is_changed(row)]
    for at, row in rows.items():
        if _is_changed(row):
            axes.plot(
                row["psnr_db"],
                at,
                "o",
                color=_colour(row),
                markersize=3.6,
                markeredgecolor="white",
                markeredgewidth=0.4,
            )
            ssim = "" if pd.isna(row["ssim"]) else f", SSIM {row['ssim']:.2f}"
            note_beside(axes, f"{row['psnr_db']:.1f} dB{ssim}", (row["psnr_db"], at))
        else:
            _say(axes, fidelity_words(row), 0, at)
    axes.set_xlim(0, 2.6 * max(known, default=1.0))
    if known:
        axes.grid(axis="x")
        axes.set_xlabel("PSNR to out of the box (dB)")
    else:
        axes.set_xticks([])
        axes.set_xlabel("output")


def _is_changed(row: dict[Any, Any]) -> bool:
    return fidelity_words(row) == "changed" and pd.notna(row["psnr_db"])


def _say(axes: Axes, words: str, x: float, at: float) -> None:
    axes.annotate(words, (x, at), (4, 0), textcoords="offset points", va="center_baseline", fontsize=6, color=FAINT)


def _colour(row: dict[Any, Any]) -> str:
    return EXACT if row["is_exact"] else APPROXIMATE


def _legend() -> dict[str, Any]:
    from matplotlib.patches import Patch

    colours = {"weights": WEIGHTS, "same output to rounding": EXACT, "output may change": APPROXIMATE}
    return {name: Patch(facecolor=colour) for name, colour in colours.items()}
