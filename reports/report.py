"""A whole report as files: the page, the figures and the tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports.answers import answers
from reports.exhibits import begin_figures, tables
from reports.page import render_page
from reports.saving import Save
from reports.second_process import last_first

if TYPE_CHECKING:
    from reports.runs import Runs


def make_report(runs: Runs, save: Save, *, in_columns: bool = False) -> tuple[dict[str, bytes], dict[str, list[str]]]:
    """Files by relative path, and the answers by question. The same records always give the same bytes.

    Args:
        runs: what was recorded.
        save: how figures are saved.
        in_columns: draw figures as wide as a paper's column where they fit, instead of its page.
    """
    begun = begin_figures(runs, save, in_columns=in_columns)
    built, found = tables(runs), answers(runs)
    drawn = last_first(begun)
    files: dict[str, bytes] = {"index.html": render_page(runs, drawn, built, found).encode()}
    for figure in drawn:
        files |= {f"figures/{figure.name}.{kind}": content for kind, content in figure.files.items()}
    for table in built:
        files |= {f"tables/{table.name}.{kind}": content.encode() for kind, content in table.files.items()}
    return files, found
