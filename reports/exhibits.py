"""Figures and tables: found by looking into their packages, so that adding one is adding a file."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.saving import Save, save_here
from reports.style import FORMATS, column_width, house_style
from reports.table import Rendered, render, to_csv, to_latex, to_markdown

if TYPE_CHECKING:
    from reports.runs import Runs

SECTIONS = {
    "time": "Where does the time go?",
    "memory": "Where does the memory go?",
    "cost": "What would it take elsewhere?",
    "optimizations": "What did each optimization buy?",
    "findings": "What stands out?",
    "claims": "Does it agree with what was published?",
    "setup": "What ran, and on what?",
    "outcomes": "How did it end?",
}
"""Sections of the page in order; a figure or table names the one that it stands in."""


@dataclass(frozen=True, slots=True)
class FigureExhibit:
    """A drawn figure with everything that goes with it."""

    name: str
    section: str
    title: str
    caption: str
    alt_text: str
    files: dict[str, bytes]
    """By format."""
    csv: str
    """The numbers behind it."""


@dataclass(frozen=True, slots=True)
class TableExhibit:
    """A table, rendered for people and written in three forms."""

    name: str
    section: str
    title: str
    caption: str
    rendered: Rendered
    files: dict[str, str]
    """By file extension."""


def figures(runs: Runs) -> list[FigureExhibit]:
    """Every figure that these runs have data for."""
    return [finish() for finish in begin_figures(runs, save_here)]


def begin_figures(runs: Runs, save: Save, *, in_columns: bool = False) -> list[Callable[[], FigureExhibit]]:
    """Every figure that these runs have data for, drawn, while `save` may still be at work; each is had by a call."""
    import reports.figures

    with house_style():
        begun = [begin_figure(module, runs, save, in_columns=in_columns) for module in found_in(reports.figures)]
    return [finish for finish in begun if finish is not None]


def tables(runs: Runs) -> list[TableExhibit]:
    """Every table that these runs have data for."""
    import reports.tables

    return [table for module in found_in(reports.tables) if (table := build_table(module, runs)) is not None]


def draw_figure(module: Any, runs: Runs) -> FigureExhibit | None:
    """One figure in all formats; None when there is nothing to draw."""
    finish = begin_figure(module, runs, save_here)
    return None if finish is None else finish()


def begin_figure(
    module: Any, runs: Runs, save: Save, *, in_columns: bool = False
) -> Callable[[], FigureExhibit] | None:
    """The same, while `save` may still be at work; with `in_columns` as wide as a column where it says that it fits."""
    frame = module.data(runs)
    with column_width() if in_columns and getattr(module, "FITS_COLUMN", False) else nullcontext():
        figure = None if frame.empty else module.draw(runs)
    if figure is None:
        return None
    files = save(figure, FORMATS)
    told = {"title": module.TITLE, "caption": module.caption(runs), "alt_text": module.alt_text(runs)}
    csv = to_csv(frame)
    return lambda: FigureExhibit(name=name_of(module), section=module.SECTION, files=files(), csv=csv, **told)


def build_table(module: Any, runs: Runs) -> TableExhibit | None:
    """One table in all forms; None when it has no rows."""
    frame: pd.DataFrame = module.build(runs)
    if frame.empty:
        return None
    # A table whose notes depend on the runs tells them itself.
    return table_of(module, frame, module.caption(runs) if hasattr(module, "caption") else module.CAPTION)


def table_of(module: Any, frame: pd.DataFrame, caption: str | None = None) -> TableExhibit:
    """A frame in all forms, as a table module reads it; columns without any value are left out."""
    notes: str = caption or module.CAPTION
    # A table whose columns depend on the runs tells them itself.
    columns = module.columns(frame) if hasattr(module, "columns") else module.COLUMNS
    frame = frame.reindex(columns=list(dict.fromkeys([*frame.columns, *(column.name for column in columns)])))
    rendered = render(frame, [column for column in columns if frame[column.name].notna().any()])
    files = {
        "md": f"{notes}\n\n{to_markdown(rendered)}",
        "csv": to_csv(frame),
        "tex": to_latex(rendered, notes, name_of(module)),
    }
    return TableExhibit(name_of(module), module.SECTION, module.TITLE, notes, rendered, files)


def found_in(package: ModuleType) -> list[Any]:
    """Modules of a package, in the order in which their exhibits stand on the page."""
    found = modules_in(package)
    return sorted(found, key=lambda module: (list(SECTIONS).index(module.SECTION), module.ORDER, module.__name__))


def modules_in(package: ModuleType) -> list[Any]:
    """Modules of a package by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    return [importlib.import_module(f"{package.__name__}.{name}") for name in names]


def name_of(module: Any) -> str:
    """The name of an exhibit or a finding: that of its file."""
    return module.__name__.rsplit(".", 1)[-1]
