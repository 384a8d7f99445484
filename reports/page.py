"""index.html: one file with everything in it, which asks nothing of any network."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports.answers import QUESTIONS, headline
from reports.claims.assess import CONTRADICTED, NOT_BORNE_OUT
from reports.exhibits import SECTIONS, FigureExhibit, TableExhibit
from reports.facts import device_name
from reports.palette import VERDICT_COLOURS
from reports.side_by_side import side_by_side
from suite.record import OUTCOMES

if TYPE_CHECKING:
    from reports.runs import Runs

_TEMPLATES = Path(__file__).parent / "html"
_MAX_DATA_CHARACTERS = 40_000
"""Numbers behind a figure are put into the page up to this length; beyond it only into its CSV file."""
_PIXELS_PER_POINT = 2.2
"""Letters of a figure are at most as large as the text around it; a column's figure is narrower than a page's."""
_WORDS = (*VERDICT_COLOURS, *OUTCOMES, "unreadable", "agrees", "differs")
"""Cells that are told apart by colour."""
_MAX_ROWS = 400
"""Rows of a table that the page holds; its files hold them all."""


def render_page(
    runs: Runs, figures: Sequence[FigureExhibit], tables: Sequence[TableExhibit], found: Mapping[str, list[str]]
) -> str:
    """The whole page."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    environment.policies["json.dumps_kwargs"] = {
        "sort_keys": False
    }  # numbers stand in the order in which they are read
    return environment.get_template("index.html.j2").render(
        css=_read("page.css"),
        js=_read("page.js") + _read("compare.js"),
        compared=side_by_side(runs),
        overview=_overview(runs),
        notes=list(dict.fromkeys(note for record in runs.records for note in record.workload.notes)),
        problems=runs.problems,
        headline=headline(dict(found)),
        sections=[_section(key, title, figures, tables, found) for key, title in SECTIONS.items()],
        words=_WORDS,
        max_rows=_MAX_ROWS,
        max_data=_MAX_DATA_CHARACTERS,
    )


def inline_svg(svg: bytes, prefix: str) -> str:
    """An SVG document as it stands inside a page: no prologue, no fixed size, and ids that no other figure has."""
    text = svg.decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\b(id|href|xlink:href)="(#?)([^"]+)"', rf'\1="\2{prefix}-\3"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", text)
    head, body = text.split(">", 1)
    head = re.sub(r'\s(width|height|version|xmlns|xmlns:xlink)="[^"]*"', "", head)
    width_points = float(re.search(r'viewBox="0 0 ([\d.]+) ', head)[1])  # type: ignore[index]
    head += f' style="max-width: {_PIXELS_PER_POINT * width_points:.0f}px"'
    body = body.replace("xlink:href=", "href=")
    return f'{head} aria-hidden="true" focusable="false">{body}'


def _section(
    key: str,
    title: str,
    figures: Sequence[FigureExhibit],
    tables: Sequence[TableExhibit],
    found: Mapping[str, list[str]],
) -> dict[str, Any]:
    return {
        "key": key,
        "title": title,
        "is_question": key in QUESTIONS,
        "answers": found.get(key, []),
        "loud": [sentence for sentence in found.get(key, []) if sentence.startswith(CONTRADICTED)],
        "quiet": [sentence for sentence in found.get(key, []) if sentence.startswith(NOT_BORNE_OUT)],
        "figures": [
            {"name": figure.name, "title": figure.title, "caption": figure.caption, "alt": figure.alt_text,
             "svg": inline_svg(figure.files["svg"], figure.name), "csv": figure.csv}
            for figure in figures if figure.section == key
        ],
        "tables": [_table(table) for table in tables if table.section == key],
    }  # fmt: skip


def _table(table: TableExhibit) -> dict[str, Any]:
    shown = table.rendered
    rows = [
        [(text, _sort_key(value), number) for text, value, number in zip(cells, keys, shown.are_numbers, strict=True)]
        for cells, keys in zip(shown.rows[:_MAX_ROWS], shown.keys[:_MAX_ROWS], strict=True)
    ]
    headers = [{"text": text, "number": number} for text, number in zip(shown.headers, shown.are_numbers, strict=True)]
    told = {"name": table.name, "title": table.title, "caption": table.caption, "num_rows": len(shown.rows)}
    return told | {"headers": headers, "rows": rows}


def _sort_key(value: Any) -> str:
    return f"{value:.9g}" if isinstance(value, int | float) else ""


def _overview(runs: Runs) -> dict[str, Any]:
    """The line under the title: how many runs of what, on what, made when."""
    devices = dict.fromkeys(device_name(record.environment) for record in runs.records)
    created = sorted(record.created for record in runs.records if record.created)
    days = sorted({created[0][:10], created[-1][:10]}) if created else []
    executions = dict.fromkeys(record.execution for record in runs.records)
    return {
        "num_runs": len(runs),
        "workloads": list(dict.fromkeys(record.workload.name for record in runs.records)),
        "devices": [name for name in devices if name],
        "executions": list(executions),
        "days": days,
    }


def _read(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")
