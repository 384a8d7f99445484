"""The runs of a sweep in one table at its end, as far as they ran in this process."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from suite.units import NONE, Unit, quantity, rounded, unit_for

if TYPE_CHECKING:
    from rich.console import Console

    from suite.ending import Numbers

BARE = ("workload", "optimization")
"""Keys whose values speak for themselves."""
ESTIMATED = "~"
DOUBTFUL = "*"
MOST_NAMED = 3
"""Runs that share a reason and are named; more are counted."""
WIDEST = 1000
"""Columns of a line that nobody reads in a terminal: nothing is folded or cut there."""


@dataclass(frozen=True)
class Ended:
    """One run of the sweep."""

    words: Sequence[str]
    """What was typed for it, the sweep's own choice included."""
    status: str
    reason: str | None = None
    numbers: Numbers | None = None
    """None: it came to none, or they could not be read."""


_ended: list[Ended] = []


def keep_for_table(ended: Ended) -> None:
    """Let it be a row when everything is over."""
    _ended.append(ended)


def tell_sweep(console: Console | None = None) -> None:
    """Print the table of everything that was kept, where that is more than one run, on the error stream."""
    if len(_ended) < 2:
        return
    from rich.console import Console

    console = console or Console(stderr=True, highlight=False)
    if not console.is_terminal:
        console.width = WIDEST
    _print(_ended, console)


def names(runs: Iterable[Sequence[str]]) -> list[str]:
    """What tells runs apart: the words that are not common to all, ``stable_diffusion, vae_slicing, height=256``."""
    split = [[word.partition("=") for word in words] for words in runs]
    settings = [{key: value for key, _, value in words} for words in split]
    keys = list(dict.fromkeys(key for chosen in settings for key in chosen))
    differing = [key for key in keys if len({chosen.get(key) for chosen in settings}) > 1]
    return [
        ", ".join(_named(key, chosen[key]) for key in differing if key in chosen) or f"run {number}"
        for number, chosen in enumerate(settings, 1)
    ]


def _named(key: str, value: str) -> str:
    if key in BARE:
        return value.strip("[]").replace(",", " + ") or "out of the box"
    return f"{key.rpartition('.')[2]}={value}"


def _print(runs: Sequence[Ended], console: Console) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    labels = names(run.words for run in runs)
    unit = unit_for(filter(None, map(_seconds, runs)), "s")  # what is compared stands in one unit
    cells = [_cells(run, unit) for run in runs]
    columns = [name for name in HEADERS if any(name in row for row in cells)]
    lines, gap = (box.SIMPLE_HEAD, 1) if console.is_terminal else (None, 2)  # lines bring a blank of their own
    table = Table(box=lines, pad_edge=False, show_edge=False, padding=(0, gap, 0, 0))
    table.add_column("run", ratio=1, overflow="fold")
    for name in columns:
        table.add_column(name, justify="left" if name == HOLDER else "right")
    for label, row in zip(labels, cells, strict=True):
        table.add_row(escape(label), *(escape(row.get(name, NONE)) for name in columns))
    console.print()
    console.print(table)
    for note in (*_estimates(runs), *_doubts(runs, labels), *_reasons(runs, labels)):
        console.print(escape(note))


TIME, COST, FLOPS, PEAK, HOLDER = "a generation", "USD", "FLOPs", "peak", "held by"
HEADERS = (TIME, COST, FLOPS, PEAK, HOLDER)


def _seconds(run: Ended) -> float | None:
    """Of one generation, measured or estimated."""
    found = run.numbers
    if found is None:
        return None
    if found.latency is not None:
        return found.latency.median
    return None if found.estimate is None else found.estimate.seconds


def _cells(run: Ended, unit: Unit) -> Mapping[str, str]:
    """What is known of it, under the headers; the outcome stands where the time would, where there is none."""
    from suite.ending import latency_words, work_words

    found = run.numbers
    if run.status != "ok" or found is None:
        return {TIME: run.status.replace("_", " ")}
    cells = {TIME: run.status}
    if found.latency is not None:
        mark = "" if found.doubt is None else f" {DOUBTFUL}"
        cells[TIME] = latency_words(found.latency, unit) + mark
    elif found.estimate is not None:
        seconds = found.estimate.seconds
        cells[TIME] = NONE if math.isnan(seconds) else f"{ESTIMATED}{rounded(seconds / unit.size)} {unit.symbol}"
        cells[COST] = rounded(found.estimate.cost_usd)
    if found.work is not None:
        cells[FLOPS] = work_words(found.work)
    if found.allocated is not None:
        cells |= {PEAK: quantity(found.allocated.size, "bytes"), HOLDER: found.allocated.holder}
    return cells


def _estimates(runs: Sequence[Ended]) -> Iterable[str]:
    """On which machines times are estimated."""
    from suite.estimates import error_words

    found = [run.numbers.estimate for run in runs if run.numbers is not None and run.numbers.estimate is not None]
    for machine in {estimate.machine.name: estimate.machine for estimate in found}.values():
        yield f"{ESTIMATED} estimated on {machine.name}; error {error_words(machine)}"


def _doubts(runs: Sequence[Ended], labels: Sequence[str]) -> Iterable[str]:
    """Why measured times are to be doubted."""
    for run, label in zip(runs, labels, strict=True):
        if run.numbers is not None and run.numbers.doubt is not None:
            yield f"{DOUBTFUL} {label}: {run.numbers.doubt}"


def _reasons(runs: Sequence[Ended], labels: Sequence[str]) -> Iterable[str]:
    """Why runs came to nothing, each reason once."""
    shared: dict[tuple[str, str], list[str]] = defaultdict(list)
    for run, label in zip(runs, labels, strict=True):
        if run.reason is not None:
            shared[run.status, run.reason].append(label)
    for (status, reason), which in shared.items():
        named = "; ".join(which) if len(which) <= MOST_NAMED else f"{len(which)} runs"
        yield f"{named}: {status}: {reason}"
