"""How much of the time is attention, and of which kind."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from reports.breakdown import by_kind
from reports.palette import INK, KIND_COLOURS, ink_on
from reports.panels import Boxes, note_beside, runs_by_group, shown, what_is_left_out
from reports.style import bars_from_zero, legend_on_top, narrowness, new_figure, readable
from suite.units import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from reports.runs import Runs

SECTION, ORDER = "time", 20
TITLE = "Attention by kind"
FITS_COLUMN = True

_HATCH = "////"


def data(runs: Runs) -> pd.DataFrame:
    """Seconds of attention by kind and part, and their share of the run."""
    return by_kind(runs)


def caption(runs: Runs) -> str:
    return (
        "Attention as a share of a run's whole operator time, by kind. Solid: its core (QK\u1d40, softmax, AV); hatched: the "
        "projections (q, k, v, out) of the same kind. The number at the end is core plus projections."
        + what_is_left_out(data(runs))
    )


def alt_text(runs: Runs) -> str:
    totals = data(runs).groupby(["group", "stack", "kind"], sort=False)["share"].sum()
    parts = [f"{group} with {stack}: {kind} {share:.1%}" for (group, stack, kind), share in totals.items()]
    return "Bars of attention time by kind as a share of the run. " + "; ".join(parts[:24]) + "."


def draw(runs: Runs) -> Figure | None:
    frame = shown(data(runs))
    if frame.empty:
        return None
    groups = runs_by_group(frame)
    figure = new_figure(0.6 + sum(0.17 * count + 0.3 for count in groups.values()))
    panels = figure.subplots(
        len(groups), 1, squeeze=False, sharex=True, height_ratios=[n + 0.6 for n in groups.values()]
    )[:, 0]
    widest = float(frame.groupby("run_id")["share"].sum().max())
    for axes, group in zip(panels, groups, strict=True):
        _draw_group(axes, frame[frame["group"] == group], widest)
        axes.set_title(readable(group))
        bars_from_zero(axes)
        axes.set_xlim(0, 100 * widest * (1 + 0.12 / narrowness()))
    panels[-1].set_xlabel("share of the run's operator time (%)")
    legend_on_top(figure, _legend(frame))
    return figure


def _draw_group(axes: Axes, rows: pd.DataFrame, widest: float) -> None:
    run_ids = list(rows["run_id"].unique())
    boxes = Boxes()
    for position, run_id in enumerate(run_ids):
        left = 0.0
        for row in rows[rows["run_id"] == run_id].itertuples():
            colour, width = KIND_COLOURS[str(row.kind)], 100 * float(row.share)
            is_core = row.part == "core"
            box = (left, position - 0.37, width, 0.74)
            fill, edge, hatch = (colour, "white", None) if is_core else ("white", colour, _HATCH)
            boxes.add(box, fill, edge=edge, hatch=hatch, line=0.4)
            if is_core and width > 7 * widest / narrowness():
                axes.text(left + width / 2, position, percent(width / 100), ha="center", va="center_baseline",
                          fontsize=5.5, color=ink_on(colour))  # fmt: skip
            left += width
        note_beside(axes, percent(left / 100), (left, position))
    boxes.draw(axes)
    stacks = rows.drop_duplicates("run_id")["stack"]
    axes.set_yticks(range(len(run_ids)), [readable(stack) for stack in stacks])
    axes.set_ylim(len(run_ids) - 0.45, -0.55)


def _legend(frame: pd.DataFrame) -> dict[str, object]:
    from matplotlib.patches import Patch

    entries: dict[str, object] = {
        kind: Patch(facecolor=colour) for kind, colour in KIND_COLOURS.items() if (frame["kind"] == kind).any()
    }
    return entries | {"projections": Patch(facecolor="white", edgecolor=INK, hatch=_HATCH, linewidth=0.4)}
