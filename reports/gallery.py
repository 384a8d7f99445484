"""The gallery: one Markdown page with every study's figures and tables, the command that makes them and what they ran on."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import reports.tables.outcomes
from reports.exhibits import FigureExhibit, TableExhibit, begin_figure, build_table
from reports.facts import device_name, machine_name
from reports.loading import load
from reports.saving import Files, files_of
from reports.style import house_style
from reports.table import in_markdown, to_markdown
from suite.record_folder import find_records

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from reports.runs import Runs
    from reports.studies import Study
    from suite.record import Record

LARGEST_SVG_BYTES = 400_000
"""A figure of more marks than fit into this is a PNG."""
_MAX_ROWS = 80
_ALT_CHARACTERS = 300
HEAD = "# Gallery\n"


@dataclass(frozen=True, slots=True)
class Gallery:
    """A page and its figures."""

    page: str
    figures: dict[str, bytes]
    """By file name."""
    shown: list[str]
    """Studies of which there are runs, by name."""
    missing: list[str]
    problems: list[str]
    """A sentence for each run that could not be read and is left out."""


def make_gallery(studies: Sequence[Study], folders: Sequence[Path], place: str) -> Gallery:
    """The gallery of the runs at or below some folders; the same records always give the same bytes.

    Args:
        place: the folder of the figures as the page sees it.
    """
    found = [run for folder in folders for run in find_records(folder)]
    sections: list[str] = []
    files: dict[str, bytes] = {}
    shown: list[str] = []
    problems: dict[str, None] = {}  # studies share runs: each problem once, in order
    for study in studies:
        own = study.folders_of(found)
        if not own:
            continue
        shown.append(study.name)
        runs = load(*own).readable()
        problems |= dict.fromkeys(runs.problems)
        text, drawn = _section(study, runs, place)
        sections.append(text)
        files |= drawn
    missing = [study.name for study in studies if study.name not in shown]
    return Gallery(HEAD + _introduction(shown) + "".join(sections), files, shown, missing, list(problems))


def _introduction(shown: Sequence[str]) -> str:
    links = ", ".join(f"[{name}](#{name})" for name in shown)
    return (
        "\nWhat every study of `conf/study/` shows, made from recorded runs by `python -m reports gallery`. A simulated time\n"
        "is a roofline's unless a calibration is named, and a lower bound; a time measured at scale smoke, of real\n"
        f"architectures with narrow layers, says nothing about a large model on a GPU.\n\n{links}\n"
    )


def _section(study: Study, runs: Runs, place: str) -> tuple[str, dict[str, bytes]]:
    """What a study shows; where its runs have nothing for that, how they ended."""
    shown = [one for path in study.exhibits if (one := _exhibit(path, runs)) is not None]
    ended = build_table(reports.tables.outcomes, runs)
    parts, files = [], {}
    for one in shown or ([ended] if ended else []):
        if isinstance(one, FigureExhibit):
            name = _file_name(study, one)
            files[name] = next(iter(one.files.values()))
            parts.append(
                f"![{in_markdown(_short(one.alt_text))}]({place}/{name})\n\n**{one.title}.** {in_markdown(one.caption)}\n"
            )
        else:
            parts.append(f"**{one.title}.** {in_markdown(one.caption)}\n\n{_table(one)}")
    head = f"\n## {study.name}\n\n{in_markdown(study.says)}\n\n    {study.command}\n\n"
    return head + "\n".join([*parts, f"*{in_markdown(ran_on(runs.records))}*\n"]), files


def _exhibit(path: str, runs: Runs) -> FigureExhibit | TableExhibit | None:
    package, name = path.split("/")
    module = import_module(f"reports.{package}.{name}")
    if package == "tables":
        return build_table(module, runs)
    with house_style():
        finish = begin_figure(module, runs, _saved_small)
    return None if finish is None else finish()


def _saved_small(figure: Figure, _: Sequence[str]) -> Callable[[], Files]:
    """Save as SVG, or as PNG where that is too large."""
    files = files_of(figure, ("svg",))
    if len(files["svg"]) > LARGEST_SVG_BYTES:
        files = files_of(figure, ("png",))
    return lambda: files


def _short(alt_text: str) -> str:
    """The first of a figure's clauses; its CSV, and the page of a report, have them all."""
    clauses = alt_text.split("; ")
    lengths = list(accumulate(len(clause) for clause in clauses))
    kept = max(bisect_right(lengths, _ALT_CHARACTERS), 1)
    more = len(clauses) - kept
    return "; ".join(clauses[:kept]) + (f"; and {more} more" if more else "")


def _file_name(study: Study, figure: FigureExhibit) -> str:
    (kind,) = figure.files
    return f"{study.name}.{kind}" if figure.name == study.name else f"{study.name}-{figure.name}.{kind}"


def _table(table: TableExhibit) -> str:
    lines = to_markdown(table.rendered).splitlines(keepends=True)
    hidden = len(lines) - 2 - _MAX_ROWS
    return "".join(lines[: _MAX_ROWS + 2]) + (f"\nand {hidden} more rows.\n" if hidden > 0 else "")


def ran_on(records: Sequence[Record]) -> str:
    """How the runs that ended well were run, on what and when; and how the others ended."""
    ways = Counter(_way(record) for record in records if record.outcome.status == "ok")
    days = sorted({record.created[:10] for record in records})
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    ended = Counter(record.outcome.status for record in records if record.outcome.status != "ok")
    said = [f"{number} run{'s' if number > 1 else ''} {way}" for way, number in sorted(ways.items())]
    others = [f"{number} {'more ' if said else ''}ended as {status}" for status, number in sorted(ended.items())]
    return "; ".join([*said, *others, when]) + "."


def _way(record: Record) -> str:
    device = record.config.get("device") or {}
    precision = device.get("precision") or "unknown precision"
    if record.execution == "simulate":
        machine = machine_name(record)
        on = f"estimated for {machine}" if machine else "with no machine named"
        return f"simulated at scale {record.workload.scale} in {precision}, {on}, no weights allocated"
    weights = f"{record.workload.weights} weights"
    cores = (record.environment.get("cpu") or {}).get("num_physical_cores")
    on = f"{device_name(record.environment) or 'an unknown device'}"
    if record.environment.get("device") == "cpu" and cores:
        on += f", {cores} core{'s' if cores > 1 else ''}"
    return f"measured at scale {record.workload.scale} in {precision} on {on}, {weights}"
