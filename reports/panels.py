"""Figures made of one panel a group of runs: how many there are room for, and stacked bars with their labels."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportReturnType=false
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.palette import INK, ink_on
from reports.style import narrowness, readable
from suite.units import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_GROUPS = 6
"""Groups that a figure has room for; the tables hold them all."""
MAX_STACKS = 12
"""Stacks of one group that a figure has room for."""


def shown(frame: pd.DataFrame, max_groups: int = MAX_GROUPS) -> pd.DataFrame:
    """The rows that a figure has room for: the first groups, and of each its first stacks (the baseline comes first)."""
    if frame.empty:
        return frame
    kept = frame[frame["group"].isin(frame["group"].unique()[:max_groups])]
    rank = kept.groupby("group", sort=False)["run_id"].transform(lambda ids: pd.factorize(ids)[0])
    return kept[rank < MAX_STACKS]


def what_is_left_out(frame: pd.DataFrame, max_groups: int = MAX_GROUPS) -> str:
    """A sentence for the caption when `shown` had to leave something out; empty otherwise."""
    if frame.empty or len(shown(frame, max_groups)) == len(frame):
        return ""
    drawn, known = shown(frame, max_groups)["run_id"].nunique(), frame["run_id"].nunique()
    return f" Drawn are {drawn} of {known} runs; the table holds them all."


def runs_by_group(frame: pd.DataFrame) -> dict[str, int]:
    """Groups in order, and how many runs each has: what panels are made of."""
    return frame.groupby("group", sort=False)["run_id"].nunique().to_dict()


def span_number(rows: pd.DataFrame) -> pd.Series:
    """Number of the span (stage and step) that each row of a time line lies in, from 0."""
    step = rows["step"].fillna(-1)
    return ((rows["stage"] != rows["stage"].shift()) | (step != step.shift())).cumsum() - 1


def note_beside(axes: Axes, words: str, point: tuple[float, float]) -> None:
    """Small words right of a point, on a white ground so that no grid line strikes them through."""
    axes.annotate(words, point, (4, 0), textcoords="offset points", va="center_baseline", fontsize=6, color=INK,
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5})  # fmt: skip


def worth_naming(rows: pd.DataFrame, column: str, value: str) -> list[str]:
    """What a legend names: the values of `column` that make up at least 0.4 % of some bar; less cannot be seen."""
    shares = rows[value] / rows.groupby("run_id")[value].transform("sum")
    return list(rows.loc[shares >= 0.004, column].unique())


class Boxes:
    """The parts of stacked bars, gathered by style and drawn as one shape a style: a tenth of the time of so many bars."""

    def __init__(self) -> None:
        self._by_style: dict[tuple[str, str, str | None, float], list[list[tuple[float, float]]]] = {}

    def add(
        self,
        box: tuple[float, float, float, float],
        colour: str,
        *,
        edge: str = "white",
        hatch: str | None = None,
        line: float = 0.5,
    ) -> None:
        """A rectangle: left, bottom, width and height in data units, its edge ``line`` points wide."""
        left, bottom, width, height = box
        right, top = left + width, bottom + height
        corners = [(left, bottom), (right, bottom), (right, top), (left, top)]
        self._by_style.setdefault((colour, edge, hatch, line), []).append(corners)

    def draw(self, axes: Axes) -> None:
        from matplotlib.collections import PolyCollection

        for (colour, edge, hatch, line), corners in self._by_style.items():
            axes.add_collection(
                PolyCollection(corners, facecolors=colour, edgecolors=edge, linewidths=line, hatch=hatch)
            )
        axes.autoscale_view()


def stacked_rows(
    axes: Axes, rows: pd.DataFrame, value: str, segment: str, colours: Mapping[str, str], **options: Any
) -> None:
    """One horizontal stacked bar for each run in `rows`, top to bottom, its parts labelled with their share of the bar.

    Args:
        axes: where to draw; its y axis gets the stacks' names.
        rows: columns run_id, stack, `value`, `segment`; runs and segments in the order in which they are drawn.
        value: column of lengths.
        segment: column that says which part of the bar a row is.
        colours: by segment.
        options: ``end_labels`` (text right of each bar, by run id), ``hatches`` (by segment).
    """
    run_ids = list(rows["run_id"].unique())
    widest = float(rows.groupby("run_id")[value].sum().max()) or 1.0
    boxes = Boxes()
    for position, run_id in enumerate(run_ids):
        bar = rows[rows["run_id"] == run_id]
        whole = float(bar[value].sum()) or 1.0
        left = 0.0
        for name, width in zip(bar[segment], bar[value], strict=True):
            colour, hatch = colours[name], options.get("hatches", {}).get(name)
            boxes.add((left, position - 0.37, width, 0.74), colour, hatch=hatch)
            if width / widest > 0.055 / narrowness():
                axes.text(left + width / 2, position, percent(width / whole), ha="center", va="center_baseline",
                          fontsize=5.5, color=INK if hatch else ink_on(colour))  # fmt: skip
            left += width
        if run_id in options.get("end_labels", {}):
            note_beside(axes, options["end_labels"][run_id], (left, position))
    boxes.draw(axes)
    stacks = rows.drop_duplicates("run_id")["stack"]
    axes.set_yticks(range(len(run_ids)), [readable(stack) for stack in stacks])
    axes.set_ylim(len(run_ids) - 0.45, -0.55)
    axes.set_xlim(0, widest * (1 + (0.14 / narrowness() if options.get("end_labels") else 0.02)))


def swatches(
    colours: Mapping[str, str], used: Sequence[str], hatches: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Legend entries for the colours that are in use, in the palette's order."""
    from matplotlib.patches import Patch

    return {
        readable(name): Patch(facecolor=colour, edgecolor="white", hatch=(hatches or {}).get(name))
        for name, colour in colours.items()
        if name in set(used)
    }


def without_shared_ending(labels: Sequence[str]) -> tuple[list[str], str]:
    """Labels without their last word, where all end with the same one and none is that word alone; and that word."""
    endings = {label.rpartition(" ")[2] for label in labels}
    if len(set(labels)) < 2 or len(endings) > 1 or not all(" " in label for label in labels):
        return list(labels), ""
    return [label.rpartition(" ")[0] for label in labels], endings.pop()
