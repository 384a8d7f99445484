"""A table's columns and its three forms: Markdown, CSV and LaTeX. Names from records can hold anything; none breaks a
form.

CSV holds the raw values in SI units, under their own names; the other two hold what people read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pandas as pd

from reports.latex import escaped, one_line
from reports.ratios import factor_words
from suite.units import AT_LEAST, NONE, Unit, percent, rounded, unit_for, with_interval

Cell = Callable[[dict[str, Any], Unit | None], str]


@dataclass(frozen=True, slots=True)
class Column:
    """How one column of a frame is read by people."""

    header: str
    name: str
    """The frame's column; it is also what the column sorts by."""
    cell: Cell
    is_number: bool = True
    base: str | None = None
    """Base unit of a quantity; the whole column gets one unit, named in the header."""
    unit_from: str | None = None
    """The column that chooses the unit, for columns that are read side by side; None: its own."""

    def unit(self, frame: pd.DataFrame) -> Unit | None:
        return None if self.base is None else unit_for(frame[self.unit_from or self.name].astype(float), self.base)

    def full_header(self, frame: pd.DataFrame) -> str:
        unit = self.unit(frame)
        return f"{self.header} ({unit.symbol})" if unit else self.header


@dataclass(frozen=True, slots=True)
class Rendered:
    """A table as people read it: headers, rows of text, and for each cell the value that it sorts by."""

    headers: list[str]
    rows: list[list[str]]
    keys: list[list[Any]]
    are_numbers: list[bool]


def text(header: str, name: str) -> Column:
    return Column(header, name, lambda row, _: NONE if _missing(row[name]) else str(row[name]), is_number=False)


def listing(header: str, name: str, most: int = 5) -> Column:
    """Names with commas between them, the first few and how many more there are; CSV has them all."""

    def cell(row: dict[str, Any], _: Unit | None) -> str:
        if _missing(row[name]):
            return NONE
        names = str(row[name]).split(", ")
        more = [f"and {len(names) - most} more"] if len(names) > most else []
        return ", ".join([*names[:most], *more])

    return Column(header, name, cell, is_number=False)


def count(header: str, name: str) -> Column:
    return Column(header, name, lambda row, _: NONE if _missing(row[name]) else f"{row[name]:,.0f}")


def number(header: str, name: str) -> Column:
    """A number whose unit stands in the header."""
    return Column(header, name, lambda row, _: NONE if _missing(row[name]) else rounded(row[name]))


def run_id(header: str, name: str) -> Column:
    """The first letters of a run's id, as they stand in its folder's name; CSV has it whole."""
    return Column(header, name, lambda row, _: NONE if _missing(row[name]) else str(row[name])[:8], is_number=False)


def quantity(
    header: str,
    name: str,
    base: str,
    ends: tuple[str, str] | None = None,
    unit_from: str | None = None,
    at_least: str | None = None,
) -> Column:
    """A quantity in the unit that suits the column; with `ends`, the columns of its interval. A row whose column `at_least` is
    true holds a lower bound, and says so.
    """

    def cell(row: dict[str, Any], unit: Unit | None) -> str:
        size = unit.size if unit else 1.0
        if _missing(row[name]):
            return NONE
        if ends is None:
            return f"{AT_LEAST} " * bool(at_least and row[at_least]) + rounded(row[name] / size)
        low, high = (None if _missing(row[end]) else row[end] / size for end in ends)
        return with_interval(row[name] / size, low, high)

    return Column(header, name, cell, base=base, unit_from=unit_from)


def factor(header: str, name: str, ends: tuple[str, str] | None = None) -> Column:
    """A ratio, written with a multiplication sign; the header names what is over what."""

    def cell(row: dict[str, Any], _: Unit | None) -> str:
        low, high = (None, None) if ends is None else (row[end] for end in ends)
        return NONE if _missing(row[name]) else factor_words(row[name], low, high)

    return Column(header, name, cell)


def share(header: str, name: str) -> Column:
    return Column(header, name, lambda row, _: NONE if _missing(row[name]) else percent(row[name]))


def render(frame: pd.DataFrame, columns: Sequence[Column]) -> Rendered:
    """The frame as text, column by column."""
    units = [column.unit(frame) for column in columns]
    records = frame.to_dict("records")
    return Rendered(
        headers=[column.full_header(frame) for column in columns],
        rows=[[column.cell(row, unit) for column, unit in zip(columns, units, strict=True)] for row in records],  # pyright: ignore
        keys=[[None if _missing(row[column.name]) else row[column.name] for column in columns] for row in records],
        are_numbers=[column.is_number for column in columns],
    )


def to_csv(frame: pd.DataFrame) -> str:
    """Raw values, SI units."""
    return frame.to_csv(index=False, lineterminator="\n")


def to_markdown(table: Rendered) -> str:
    """A GitHub table."""
    rule = ["---:" if number else "---" for number in table.are_numbers]
    lines = [
        [in_markdown(header) for header in table.headers],
        rule,
        *([in_markdown(cell) for cell in row] for row in table.rows),
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def to_latex(table: Rendered, caption: str, label: str) -> str:
    """A booktabs table for a paper: ``\\usepackage{booktabs}``, in any encoding."""
    spec = "".join("r" if number else "l" for number in table.are_numbers)
    head = " & ".join(escaped(header) for header in table.headers)
    body = "".join(f"    {' & '.join(escaped(cell) for cell in row)} \\\\\n" for row in table.rows)
    return (
        f"\\begin{{table}}\n  \\centering\n  \\caption{{{escaped(caption)}}}\n  \\label{{tab:{label}}}\n"
        f"  \\begin{{tabular}}{{{spec}}}\n    \\toprule\n    {head} \\\\\n    \\midrule\n{body}"
        "    \\bottomrule\n  \\end{tabular}\n\\end{table}\n"
    )


_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|~$])")


@lru_cache(maxsize=1 << 15)
def in_markdown(value: str) -> str:
    """Text that Markdown shows as it stands, HTML included."""
    marked = _MARKDOWN.sub(r"\\\1", one_line(value))
    return marked.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _missing(value: Any) -> bool:
    if value is None or isinstance(value, float):  # most cells by far
        return value is None or math.isnan(value)
    return not isinstance(value, str | int | list | dict) and bool(pd.isna(value))
