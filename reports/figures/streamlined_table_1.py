"""Memory of every way to make a video in less of it, beside the published points (Zhan et al. 2024, Table 1)."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportReturnType=false
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.facts import OUT_OF_THE_BOX
from reports.palette import FAINT, INK, WEIGHTS
from reports.ratios import amount
from reports.streamlined import beside_published
from reports.style import bars_from_zero, legend_on_top, new_figure, readable
from suite.units import ratio

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from reports.runs import Runs

SECTION, ORDER = "optimizations", 40
TITLE = "Memory of Streamlined Inference, its parts and its rivals"

GIB = 1024**3
EXACT, APPROXIMATE = "#0a7abf", "#e0701a"
GIB_AT, OVER_AT = 17, 44
"""Right edges of the two columns of numbers beside a panel, in points from it."""
_COLUMNS = 3
_DIAMOND: dict[str, Any] = {"marker": "D", "color": "white", "markersize": 3.2, "markeredgecolor": INK,
                            "markeredgewidth": 0.7}  # fmt: skip


def data(runs: Runs) -> pd.DataFrame:
    """The runs beside their published rows."""
    return beside_published(runs)


def caption(runs: Runs) -> str:
    frame = data(runs)
    return (
        "Peak of allocated memory of one generation, and what it is over the workload's own. Grey: weights; "
        "colour: what lives beside them at the peak, blue where the output must be the same to rounding, orange where it may "
        "change. Line: up to the reserved memory. Diamonds: peaks as Zhan et al. 2024 print them, their GB read as GiB, with "
        "their ratio; they count more than what is allocated, so ratios compare and sizes do not. "
        + _published_words(frame)
        + _not_drawn(frame)
    )


def alt_text(runs: Runs) -> str:
    frame = data(runs)
    parts = [
        f"{_title(row)} {row['stack']}: {row['allocated_bytes'] / GIB:.2f} GiB, {amount(row['relative_memory'])}"
        for row in frame[frame["allocated_bytes"].notna()].to_dict("records")
    ]
    return "Bars of peak memory by stack. " + "; ".join(parts[:40]) + "."


def _published_words(frame: pd.DataFrame) -> str:
    rows = frame[frame["published_relative_memory"].notna() & (frame["stack"] != OUT_OF_THE_BOX)]
    told = [
        f"{readable(row['stack'])} on {_title(row)} {amount(row['relative_memory'])} (published: "
        f"{amount(row['published_relative_memory'])})"
        for row in rows[rows["relative_memory"].notna()].to_dict("records")
    ]
    return f"Memory: {'; '.join(told)}." if told else ""


def _stacks_that_ran(frame: pd.DataFrame) -> list[str]:
    return list(frame.loc[frame["allocated_bytes"].notna(), "stack"].unique())


def _not_drawn(frame: pd.DataFrame) -> str:
    others = [readable(name) for name in frame["stack"].unique() if name not in _stacks_that_ran(frame)]
    return f" Not drawn, since none of the models took them: {', '.join(others)}." if others else ""


def draw(runs: Runs) -> Figure | None:
    frame = data(runs)
    if frame.empty:
        return None
    ran = frame[frame["stack"].isin(_stacks_that_ran(frame))]
    blocks = [rows for _, rows in ran.groupby(["height", "width"], sort=False)]
    blocks.sort(key=lambda rows: -rows["stack"].nunique())
    orders = [_order(rows) for rows in blocks]
    figure = new_figure(0.5 + sum(0.45 + 0.15 * len(order) for order in orders))
    heights = [len(order) + 3 for order in orders]
    panels = figure.subplots(len(blocks), _COLUMNS, squeeze=False, gridspec_kw={"height_ratios": heights})
    for line, rows, order in zip(panels, blocks, orders, strict=True):
        groups = list(rows["group"].unique())[:_COLUMNS]
        for axes, group in zip(line, groups, strict=False):
            _draw_group(axes, rows[rows["group"] == group], order)
            axes.tick_params(axis="y", labelleft=axes is line[0])
        for axes in line[len(groups) :]:
            axes.set_visible(False)
    legend_on_top(figure, _legend(frame))
    return figure


def _order(rows: pd.DataFrame) -> list[str]:
    """Stacks from top to bottom: as the first group has them, then those that only others have."""
    means = rows.groupby("stack", sort=False).agg(
        itself=("stack", lambda names: names.iloc[0] != OUT_OF_THE_BOX),
        approximate=("is_exact", lambda flags: not all(flag is not False for flag in flags)),
        eased=("relative_memory", lambda ratios: -ratios.mean()),
    )
    return list(means.sort_values(["itself", "approximate", "eased"], kind="stable").index)


def _draw_group(axes: Axes, rows: pd.DataFrame, order: list[str]) -> None:
    for row in rows.to_dict("records"):
        at = order.index(row["stack"])
        if pd.isna(row["allocated_bytes"]):
            axes.annotate(readable(row["outcome"]), (0, at), (3, 0), textcoords="offset points", va="center_baseline",
                          fontsize=5.5, color=FAINT)  # fmt: skip
        else:
            _draw_run(axes, row, at)
    axes.set_yticks(range(len(order)), [readable(stack) for stack in order])
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.set_title(_title(rows.iloc[0]).replace(", ", "\n"))
    axes.set_xlabel("peak memory (GiB)")
    bars_from_zero(axes)
    for place, words in ((GIB_AT, "GiB"), (OVER_AT, "of own")):
        _beside(axes, words, (place, -0.9), FAINT)
    axes.set_xlim(0, 1.33 * rows[["allocated_bytes", "reserved_bytes", "published_peak_bytes"]].max().max() / GIB)


def _draw_run(axes: Axes, row: dict[Any, Any], at: int) -> None:
    allocated, weights = row["allocated_bytes"] / GIB, row["weights_bytes"] / GIB
    axes.barh(at, weights, height=0.7, color=WEIGHTS, linewidth=0)
    axes.barh(at, allocated - weights, left=weights, height=0.7, color=EXACT if row["is_exact"] else APPROXIMATE,
              linewidth=0)  # fmt: skip
    if pd.notna(row["reserved_bytes"]):
        ends = [allocated, row["reserved_bytes"] / GIB]
        axes.plot(ends, [at, at], color=FAINT, linewidth=0.8, solid_capstyle="butt")
    is_itself = row["stack"] == OUT_OF_THE_BOX
    if pd.notna(row["published_peak_bytes"]):
        axes.plot(row["published_peak_bytes"] / GIB, at, **_DIAMOND)
        words = f"{row['published_peak_bytes'] / GIB:.1f}" if is_itself else ratio(row["published_relative_memory"])
        axes.annotate(words, (row["published_peak_bytes"] / GIB, at), (4, 0), textcoords="offset points",
                      va="center_baseline", fontsize=5.5, color=FAINT)  # fmt: skip
    for place, words in ((GIB_AT, f"{allocated:.1f}"), (OVER_AT, "" if is_itself else ratio(row["relative_memory"]))):
        _beside(axes, words, (place, at), INK)


def _beside(axes: Axes, words: str, place: tuple[float, float], colour: str) -> None:
    """Words right of a panel that end at a place: points from its edge, and a row."""
    axes.annotate(words, (1, place[1]), (place[0], 0), xycoords=axes.get_yaxis_transform(), textcoords="offset points",
                  ha="right", va="center_baseline", fontsize=6, color=colour, annotation_clip=False)  # fmt: skip


def _title(row: Any) -> str:
    return f"{readable(row['workload'])}, {row['height']:g} x {row['width']:g}"


def _legend(frame: pd.DataFrame) -> dict[str, Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    found: dict[str, Any] = {"weights": Patch(facecolor=WEIGHTS), "same output to rounding": Patch(facecolor=EXACT)}
    if (frame["is_exact"] == False).any():  # noqa: E712
        found["output may change"] = Patch(facecolor=APPROXIMATE)
    if frame["reserved_bytes"].notna().any():
        found["reserved"] = Line2D([], [], color=FAINT, linewidth=0.8)
    found["published, with its ratio"] = Line2D([], [], linestyle="none", **_DIAMOND)
    return found
