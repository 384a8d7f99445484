"""Ways to run half of the steps in full: published scores, and what they cost and change here (Zhan et al. 2024, Table 2)."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportCallIssue=false, reportReturnType=false
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.facts import OUT_OF_THE_BOX
from reports.palette import FAINT, INK
from reports.panels import note_beside, shown, what_is_left_out
from reports.ratios import amount
from reports.streamlined_quality import beside_published_scores
from reports.style import bars_from_zero, legend_on_top, new_figure, readable
from suite.units import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from reports.runs import Runs

SECTION, ORDER = "optimizations", 45
TITLE = "Skipped steps beside their published scores"

_GROUND = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
OURS, WORK = "#0a7abf", "#7fc1ea"
_SETS = {"UCF-101": "published_ucf101_fvd", "MSR-VTT": "published_msrvtt_fvd"}
_MARKERS: dict[str, dict[str, Any]] = {
    "UCF-101": {"marker": "D", "color": INK, "markersize": 3.4},
    "MSR-VTT": {"marker": "D", "color": "white", "markersize": 3.4, "markeredgecolor": INK, "markeredgewidth": 0.7},
}


def data(runs: Runs) -> pd.DataFrame:
    """Every approximate stack beside the workload out of the box."""
    return beside_published_scores(runs)


def caption(runs: Runs) -> str:
    frame = data(runs)
    weights = " and ".join(dict.fromkeys(frame["weights"].dropna())) or "unknown"
    kinds = " and ".join(dict.fromkeys(frame["time_is"].dropna())) or "not known"
    scales = " and ".join(dict.fromkeys(frame["scale"].dropna()))
    return (
        "Left: FVD over that of all 25 steps as Zhan et al. 2024 publish it (Table 2, trained models); lower is better. Middle "
        f"and right: ours, at scale {scales} with {weights} weights, which have no FVD. Middle: relative L2 error of the "
        "latents to those of all steps from the same seed, and PSNR of the output. Right: FLOPs over those of all steps (bar) "
        f"and time ({kinds}; dot, and where it was measured the 95 % interval of the median of paired ratios)."
        + what_is_left_out(frame)
    )


def alt_text(runs: Runs) -> str:
    parts = [
        f"{row['group']} {row['stack']}: {_words(row) or 'no distance'}, {amount(row['relative_work'])} work"
        for row in data(runs).to_dict("records")
        if row["stack"] != OUT_OF_THE_BOX
    ]
    return "Published FVD, distance of latents and cost of skipped steps. " + "; ".join(parts[:24]) + "."


def draw(runs: Runs) -> Figure | None:
    frame = shown(data(runs))
    if frame.empty:
        return None
    rows, headings, at = {}, {}, 0.0
    for group, members in frame.groupby("group", sort=False):
        headings[at] = readable(str(group))
        own = members.iloc[0]
        others = members[members["stack"] != OUT_OF_THE_BOX].to_dict("records")
        rows |= {at + 1 + place: {**row, "own": own} for place, row in enumerate(others)}
        at += len(others) + 1.3
    figure = new_figure(0.8 + 0.19 * at)
    panels = figure.subplots(1, 3, sharey=True, gridspec_kw={"width_ratios": [1, 1.1, 1]})
    for axes, draw_panel in zip(panels, (_published, _distance, _cost), strict=True):
        draw_panel(axes, rows)
        axes.tick_params(axis="y", length=0)
    panels[0].set_ylim(at - 0.8, -0.6)
    panels[0].set_yticks(list(rows), [readable(row["stack"]) for row in rows.values()])
    for place, words in headings.items():
        panels[0].annotate(words, (0, place), (3, 0), xycoords=panels[0].get_yaxis_transform(), fontweight="bold",
                           textcoords="offset points", va="center_baseline", bbox=_GROUND).set_in_layout(False)  # fmt: skip
    legend_on_top(figure, _legend())
    return figure


def _published(axes: Axes, rows: dict[float, dict[Any, Any]]) -> None:
    axes.axvline(1, color=FAINT, linewidth=0.6)
    for at, row in rows.items():
        found = {name: row[column] / row["own"][column] for name, column in _SETS.items() if pd.notna(row[column])}
        for name, value in found.items():
            axes.plot(value, at, linestyle="none", **_MARKERS[name])
        if not found:
            _say(axes, "not published", at)
    axes.margins(x=0.1)
    axes.grid(axis="x")
    axes.set_xlabel("published FVD over that of all steps")


def _distance(axes: Axes, rows: dict[float, dict[Any, Any]]) -> None:
    for at, row in rows.items():
        if pd.notna(row["latent_relative_error"]):
            axes.barh(at, 100 * row["latent_relative_error"], height=0.6, color=OURS, linewidth=0)
            note_beside(axes, _words(row), (100 * row["latent_relative_error"], at))
        else:
            _say(axes, "no values in a simulation" if row["time_is"] != "measured" else "not measured", at)
    bars_from_zero(axes)
    known = [100 * row["latent_relative_error"] for row in rows.values() if pd.notna(row["latent_relative_error"])]
    axes.set_xlim(0, 2.1 * max(known, default=1.0))  # room for the words
    if not known:
        axes.set_xticks([])
    axes.set_xlabel("ours: error of the latents (%)")


def _cost(axes: Axes, rows: dict[float, dict[Any, Any]]) -> None:
    for at, row in rows.items():
        axes.barh(at, row["relative_work"], height=0.6, color=WORK, linewidth=0)
        if pd.notna(row["time_low"]):
            axes.plot([row["time_low"], row["time_high"]], [at, at], color=INK, linewidth=0.9)
        if pd.notna(row["relative_time"]):
            axes.plot(row["relative_time"], at, "o", color=INK, markersize=3)
    bars_from_zero(axes)
    axes.axvline(1, color=FAINT, linewidth=0.6)
    axes.set_xlim(right=max(1.08, axes.get_xlim()[1]))
    axes.set_xlabel("ours: cost over that of all steps")


def _words(row: dict[Any, Any]) -> str:
    """Distance of a run in words; empty where there is none."""
    if pd.isna(row["latent_relative_error"]):
        return ""
    psnr = "" if pd.isna(row["psnr_db"]) else f", PSNR {row['psnr_db']:.1f} dB"
    return f"{percent(row['latent_relative_error'])}{psnr}"


def _say(axes: Axes, words: str, at: float) -> None:
    axes.annotate(words, (0, at), (4, 0), xycoords=axes.get_yaxis_transform(), textcoords="offset points",
                  va="center_baseline", fontsize=6, color=FAINT, bbox=_GROUND)  # fmt: skip


def _legend() -> dict[str, Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    found: dict[str, Any] = {name: Line2D([], [], linestyle="none", **style) for name, style in _MARKERS.items()}
    found |= {"error of the latents": Patch(facecolor=OURS), "FLOPs": Patch(facecolor=WORK)}
    return found | {"time": Line2D([], [], linestyle="-", linewidth=0.9, marker="o", color=INK, markersize=3)}
