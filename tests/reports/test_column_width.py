"""Figures as wide as a column of a paper: as wide as they say, with every word inside.

Names for the mirror: reports.style, reports.exhibits.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

import reports.figures
from reports.__main__ import main
from reports.exhibits import modules_in, name_of
from reports.runs import Runs
from reports.style import COLUMN_INCHES, PAGE_INCHES, column_width, house_style, laid_out, narrowness

FITTING = {name_of(module): module for module in modules_in(reports.figures) if getattr(module, "FITS_COLUMN", False)}


@pytest.mark.parametrize("name", FITTING)
def test_every_word_of_a_column_stays_inside(name: str, runs: Runs) -> None:
    with house_style():
        with column_width():
            figure = FITTING[name].draw(runs)
        assert figure is not None
        laid_out(figure)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        assert figure.get_figwidth() == COLUMN_INCHES
        words = [text for axes in figure.axes for text in axes.texts if text.get_text()]
        for text in [*words, *(axes.xaxis.label for axes in figure.axes), *figure.legends]:
            box = text.get_window_extent(canvas.get_renderer())
            assert box.x0 >= -1, text
            assert box.x1 <= figure.bbox.width + 1, text


def test_the_width_ends_with_its_block() -> None:
    with column_width():
        assert narrowness() == pytest.approx(COLUMN_INCHES / PAGE_INCHES)
    assert narrowness() == 1


def test_a_report_in_columns_has_the_figures_that_fit_at_that_width(study: Path, tmp_path: Path) -> None:
    assert main([str(study), "--out", str(tmp_path / "report"), "--width", "column"]) == 0
    widths = {}
    for path in (tmp_path / "report" / "figures").glob("*.svg"):
        found = re.search(r'viewBox="0 0 ([\d.]+) ', path.read_text())
        assert found is not None
        widths[path.stem] = float(found[1]) / 72
    assert {name for name, width in widths.items() if width == pytest.approx(COLUMN_INCHES)} >= FITTING.keys() & widths
    assert any(width == pytest.approx(PAGE_INCHES) for width in widths.values())
