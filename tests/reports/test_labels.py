"""Names beside points: inside the axes, off the points and off each other."""

from __future__ import annotations

import itertools

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from reports.labels import label_points
from reports.style import house_style


def drawn(points: list[tuple[float, float]]) -> tuple[dict, list, tuple]:
    """Boxes of the names by name and places of the points in pixels, and the box of the axes."""
    with house_style():
        figure = Figure(figsize=(4, 3))
        axes = figure.add_axes((0.1, 0.1, 0.8, 0.8))
        axes.set(xscale="log", yscale="log", xlim=(0.1, 10), ylim=(0.1, 10))
        names = [(f"point number {index}", *point) for index, point in enumerate(points)]
        label_points(axes, names, points, (0.8 * 4 * 72, 0.8 * 3 * 72))
        FigureCanvasAgg(figure).draw()
        boxes = {text.get_text(): text.get_bbox_patch().get_window_extent() for text in axes.texts}
        return boxes, [axes.transData.transform(point) for point in points], axes.bbox.extents


@pytest.mark.parametrize(
    "points",
    [
        [(1, 1)],
        [(9.5, 9.5), (0.11, 0.11), (9.5, 0.11), (0.11, 9.5)],
        [(1, 1), (1.1, 1), (1.2, 1.1), (1, 1.15), (0.9, 0.9)],
    ],
    ids=["one", "corners", "crowd"],
)
def test_names_meet_neither_each_other_nor_a_point_and_stay_inside(points: list[tuple[float, float]]) -> None:
    named, places, (left, bottom, right, top) = drawn(points)
    boxes = list(named.values())
    assert len(boxes) == len(points)
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    for box in boxes:
        assert not any(box.contains(*place) for place in places)
        assert left <= box.x0 < box.x1 <= right
        assert bottom <= box.y0 < box.y1 <= top


def test_many_names_of_one_place_are_the_shortest_and_a_count() -> None:
    named, _, (left, _, right, _) = drawn([(1, 1), (5, 5), (1.001, 1), (1.002, 1), (5, 5.01)])
    assert set(named) == {"point number 0 and 2 more", "point number 1 / point number 4"}
    assert all(left <= box.x0 < box.x1 <= right for box in named.values())


def test_names_of_points_that_lie_on_each_other_stand_together() -> None:
    assert set(drawn([(1, 1), (5, 5), (1.001, 1)])[0]) == {"point number 0 / point number 2", "point number 1"}
