"""What is wrong with events of a trace and what was done about it, counted by kind: nothing is mended in silence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

Flaws = Counter[str]
"""Number of events by what is wrong with them and what was done, as a phrase after "12 events"."""

UNREADABLE = "in no known form: left out"
MEMORY_UNTOLD = "of the allocator without time or args: left out"
ARGS_ODD = "with args that cannot be read: taken without them"
APART = "of the phase B or E, a begin or an end alone: left out, only complete events (X) are read"
CUT = "ending after the span around: cut where that one ends"
LAUNCHED_TWICE = "of a device whose id names several launches: given to the first of these"

NEGATIVE = "whose duration is negative: left out"
_TIMES = {"ts": "begin", "dur": "duration"}
_MOST_NAMES, _LONGEST_NAME = 5, 40


def time_flaw(field: str, what: str) -> str:
    """An event that is left out because its `field` (``ts`` or ``dur``) is `what`, e.g. ``infinite``."""
    return f"whose {_TIMES[field]} is {what}: left out"


def phase_flaw(phase: str) -> str:
    """Events of a kind that is read, in a phase that is not."""
    return f"of the phase {_shown(phase)}: left out, only complete events (X) are read"


def with_categories(flaws: Flaws, categories: Counter[str]) -> Flaws:
    """The flaws, and as one more of them the spans of these categories, which are not read."""
    if not categories:
        return flaws
    names = sorted(categories)
    told = ", ".join(_shown(name) if name else "no category" for name in names[:_MOST_NAMES])
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return flaws + Flaws({f"of categories that are not read ({told}{more}): left out": categories.total()})


def sentences(flaws: dict[str, int]) -> Sequence[str]:
    """One a kind, the most frequent first."""
    ordered = sorted(flaws.items(), key=lambda flaw: (-flaw[1], flaw[0]))
    return [f"{number:,} {'event' if number == 1 else 'events'} {flaw}" for flaw, number in ordered]


def _shown(name: str) -> str:
    """A name of the file's, fit for a line of text."""
    return ascii(name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + "...")
