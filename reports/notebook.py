"""How a set of runs shows itself in a notebook: what there is, which frames to ask for, and a table of the runs."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reports.runs import Runs

_COLUMNS = ["workload", "scale", "execution", "stack", "outcome", "device_name", "created"]
_MAX_ROWS = 20


def text(runs: Runs) -> str:
    """The runs in some lines of plain text. Reads no table."""
    outcomes = Counter(record.outcome.status for record in runs.records)
    told = ", ".join(f"{number} {status}" for status, number in outcomes.most_common())
    lines = [
        f"{_count(len(runs), 'run')} of {_count(runs.runs['workload'].nunique(), 'workload')}"
        f" with {_count(runs.runs['stack'].nunique(), 'stack')}: {told or 'none'}",
        f"frames: {', '.join(frames(runs))}",
    ]
    return "\n".join([*lines, *(f"left out: {problem}" for problem in (*runs.problems, *runs.repeated))])


def html(runs: Runs) -> str:
    """The same, with a table of the first runs."""
    shown = runs.runs[_COLUMNS].head(_MAX_ROWS).to_html(index=False, na_rep="", border=0)
    rest = len(runs) - _MAX_ROWS
    more = f"<p>and {rest} more in <code>runs</code></p>" if rest > 0 else ""
    lines = "".join(f"<p>{escape(line)}</p>" for line in text(runs).splitlines())
    return f"{lines}{shown}{more}"


def frames(runs: Runs) -> list[str]:
    """Names of the attributes that are frames, as the class lists them."""
    kind = type(runs)
    return [name for name, member in vars(kind).items() if isinstance(member, cached_property)]


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
