"""Names beside the points of a scatter, each where it meets neither a point nor another name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from reports.palette import FAINT, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FONT_SIZE = 5.5
_LETTER = 0.56
"""Width of a letter, as a share of its height."""
_LONGEST = 44
"""Letters that several names may have together."""
_MARK = 3.0
"""Half the width of a point's mark, in points."""
_HEIGHTS = (6.5, -6.5, 0, 13, -13, 19, -19, 26, -26, 33, -33, 40, -40, 47, -47, 54, -54, 61, -61)
_SIDES = (("left", 5.0), ("right", -5.0), ("center", 0.0))

Box = tuple[float, float, float, float]
Place = tuple[str, float, float]
"""Which side of a name is at the point, and how far from it the name stands, in points across and up."""


def label_points(
    axes: Axes,
    names: Sequence[tuple[str, float, float]],
    points: Sequence[tuple[float, float]],
    size: tuple[float, float],
) -> None:
    """Write names beside their points on logarithmic axes whose limits are set.

    A name that is further off gets a line to its point, and names of points that lie on each other stand together.

    Args:
        axes: where to write.
        names: each with the values that it stands for.
        points: values of everything that is drawn.
        size: about how large the axes will be, in points: the figure is not laid out yet.
    """
    centres = (_in_points(axes, point, size) for point in points)
    taken = [(x - _MARK, y - _MARK, x + _MARK, y + _MARK) for x, y in centres]
    together: list[tuple[list[str], tuple[float, float], tuple[float, float]]] = []
    for name, across, up in sorted(names, key=lambda name: name[1]):
        centre = _in_points(axes, (across, up), size)
        near = next((own for own, _, other in together if math.dist(centre, other) < _MARK), None)
        if near is None:
            together.append(([name], (across, up), centre))
        else:
            near.append(name)
    for own, point, (x, y) in together:
        words = _joined(own)
        place, box = _best_place(x, y, _LETTER * FONT_SIZE * len(words), taken, size)
        taken.append(box)
        _write(axes, words, point, place)


def _joined(names: Sequence[str]) -> str:
    """Names of one place: all of them where that is short, else the shortest."""
    words = " / ".join(names)
    return words if len(names) == 1 or len(words) <= _LONGEST else f"{min(names, key=len)} and {len(names) - 1} more"


def _best_place(x: float, y: float, width: float, taken: list[Box], size: tuple[float, float]) -> tuple[Place, Box]:
    """The first place inside the axes that meets nothing, or else as little as can be."""
    places = [(side, dx, dy) for dy in _HEIGHTS for side, dx in _SIDES if dy or side != "center"]
    boxes = [(place, _box(x, y, width, place)) for place in places]
    return min(boxes, key=lambda pair: (not _is_inside(pair[1], size), sum(_meet(pair[1], other) for other in taken)))


def _write(axes: Axes, words: str, point: tuple[float, float], place: Place) -> None:
    side, dx, dy = place
    near = {"left": 0.0, "center": 0.5, "right": 1.0}[side], 0.0 if dy > 0 else 1.0
    line = {"arrowstyle": "-", "linewidth": 0.4, "color": FAINT, "shrinkA": 0, "shrinkB": 2, "relpos": near}
    note = axes.annotate(words, point, (dx, dy), textcoords="offset points", ha=side, va="center_baseline", fontsize=FONT_SIZE,
                         color=INK, arrowprops=line if abs(dy) > 7 else None, zorder=5,
                         bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.3, "alpha": 0.8})  # fmt: skip
    note.set_in_layout(False)  # axes do not shrink for a name that nearly fits


def _in_points(axes: Axes, point: tuple[float, float], size: tuple[float, float]) -> tuple[float, float]:
    """Where a value will lie, nearly."""
    across, up = (
        math.log(value / low) / math.log(high / low)
        for value, (low, high) in zip(point, (axes.get_xlim(), axes.get_ylim()), strict=True)
    )
    return across * size[0], up * size[1]


def _box(x: float, y: float, width: float, place: Place) -> Box:
    side, dx, dy = place
    left = x + dx - {"left": 0.0, "center": width / 2, "right": width}[side]
    return left - 1, y + dy - 0.75 * FONT_SIZE, left + width + 1, y + dy + 0.75 * FONT_SIZE


def _is_inside(box: Box, size: tuple[float, float]) -> bool:
    return box[0] > 0 and box[1] > 0 and box[2] < size[0] and box[3] < size[1]


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
