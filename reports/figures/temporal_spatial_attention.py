"""Time and FLOPs of temporal beside spatial attention, with and without their projections (Golden et al. 2024, Fig. 11)."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportReturnType=false
from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from reports.breakdown import all_totals, axis_words
from reports.comparison import identities
from reports.palette import INK, KIND_COLOURS
from reports.panels import Boxes, note_beside, runs_by_group, shown, what_is_left_out
from reports.style import bars_from_zero, legend_on_top, new_figure, readable
from suite.units import TIMES, ratio

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from reports.runs import Runs

SECTION, ORDER = "time", 25
TITLE = "Temporal and spatial attention"

KINDS = ("spatial", "temporal")
_PARTS = ("core", "projection")
_HATCH = "////"
_BAR = 0.38  # of a run's row


def data(runs: Runs) -> pd.DataFrame:
    """Seconds and FLOPs of each kind and part of a run, of the stages that have temporal attention.

    ``relative_seconds`` and ``relative_flops`` are over those of the run's spatial attention with its projections. Runs
    without a clock, and those without both kinds, are left out.
    """
    totals = all_totals(runs)
    rows = totals[totals["kind"].isin(KINDS) & totals["clock"].notna()].astype({"run_id": object, "stage": object})
    rows = rows[rows.groupby(["run_id", "stage"])["kind"].transform("nunique") == len(KINDS)]
    if rows.empty:
        return pd.DataFrame()
    rows = rows.assign(part=rows["segment"].str.removeprefix("attention "))
    rows = rows.groupby(["run_id", "clock", "kind", "part"])[["seconds", "flops"]].sum().reset_index()
    frame = identities(runs).merge(rows, on="run_id", sort=False)
    spatial = frame[frame["kind"] == "spatial"].groupby("run_id")[["seconds", "flops"]].sum()
    for measure in ("seconds", "flops"):
        frame[f"relative_{measure}"] = frame[measure] / frame["run_id"].map(spatial[measure])
    return frame


def ratios(frame: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Temporal over spatial for each run: of the core alone, and with projections."""
    wide = frame.pivot_table(index="run_id", columns=["kind", "part"], values=measure, aggfunc="sum", sort=False)
    wide = wide.reindex(columns=pd.MultiIndex.from_product([KINDS, _PARTS])).fillna(0.0)
    both = {kind: wide[kind].sum(axis="columns") for kind in KINDS}
    return pd.DataFrame({"core": wide["temporal", "core"] / wide["spatial", "core"],
                         "with_projections": both["temporal"] / both["spatial"]})  # fmt: skip


def caption(runs: Runs) -> str:
    frame = data(runs)
    return (
        f"Left: {axis_words(frame)}; right: FLOPs of all temporal and spatial attention in the stages that have both, over "
        "those of the run's spatial attention with its projections. Solid: the core (QK\u1d40, softmax, AV); hatched: the "
        "projections (q, k, v, out). Numbers: temporal over spatial, of the core alone and with projections."
        + what_is_left_out(frame)
    )


def alt_text(runs: Runs) -> str:
    frame = data(runs)
    names = frame.drop_duplicates("run_id").set_index("run_id")
    times, flops = (ratios(frame, measure)["core"] for measure in ("seconds", "flops"))
    parts = [
        f"{names.loc[run_id, 'group']} with {names.loc[run_id, 'stack']}: {ratio(times[run_id])} the time, "
        f"{ratio(flops[run_id])} the FLOPs"
        for run_id in times.index
    ]
    return "Bars of temporal beside spatial attention. Temporal over spatial core: " + "; ".join(parts[:16]) + "."


def draw(runs: Runs) -> Figure | None:
    frame = shown(data(runs))
    if frame.empty:
        return None
    groups = runs_by_group(frame)
    figure = new_figure(0.6 + sum(0.34 * count + 0.28 for count in groups.values()))
    panels = figure.subplots(
        len(groups), 2, squeeze=False, sharex="col", sharey="row", height_ratios=[n + 0.4 for n in groups.values()]
    )
    for column, measure in enumerate(("seconds", "flops")):
        widest = float(frame.groupby(["run_id", "kind"])[f"relative_{measure}"].sum().max())
        for axes, group in zip(panels[:, column], groups, strict=True):
            _draw_group(axes, frame[frame["group"] == group], measure)
            bars_from_zero(axes)
            axes.set_xlim(0, widest * 1.3)
    for axes, group in zip(panels[:, 0], groups, strict=True):
        axes.set_title(readable(group))
    panels[-1, 0].set_xlabel(f"{axis_words(frame)} / spatial attention's")
    panels[-1, 1].set_xlabel("FLOPs / spatial attention's")
    legend_on_top(figure, _legend())
    return figure


def _draw_group(axes: Axes, rows: pd.DataFrame, measure: str) -> None:
    run_ids = list(rows["run_id"].unique())
    found = ratios(rows, measure)
    boxes = Boxes()
    for position, run_id in enumerate(run_ids):
        own = rows[rows["run_id"] == run_id]
        ends = [
            _add_bar(boxes, own[own["kind"] == kind], position + offset, measure)
            for kind, offset in zip(KINDS, (-_BAR / 2, _BAR / 2), strict=True)
        ]
        core, both = (_factor(found.loc[run_id, name]) for name in ("core", "with_projections"))
        note_beside(axes, f"{core}, {both}", (ends[-1], position + _BAR / 2))
    boxes.draw(axes)
    stacks = rows.drop_duplicates("run_id")["stack"]
    axes.set_yticks(range(len(run_ids)), [readable(stack) for stack in stacks])
    axes.set_ylim(len(run_ids) - 0.45, -0.55)


def _add_bar(boxes: Boxes, parts: pd.DataFrame, position: float, measure: str) -> float:
    """One kind of attention, its parts behind one another; where the bar ends."""
    left = 0.0
    for kind, part, width in zip(parts["kind"], parts["part"], parts[f"relative_{measure}"], strict=True):
        colour, is_core = KIND_COLOURS[kind], part == "core"
        fill, edge, hatch = (colour, "white", None) if is_core else ("white", colour, _HATCH)
        boxes.add((left, position - _BAR / 2, width, _BAR), fill, edge=edge, hatch=hatch, line=0.4)
        left += width
    return left


def _factor(value: float) -> str:
    return f"{value:.2f}{TIMES}" if value >= 0.095 else f"{value:.2g}{TIMES}"


def _legend() -> dict[str, object]:
    from matplotlib.patches import Patch

    entries: dict[str, object] = {kind: Patch(facecolor=KIND_COLOURS[kind]) for kind in KINDS}
    return entries | {"projections": Patch(facecolor="white", edgecolor=INK, hatch=_HATCH, linewidth=0.4)}
