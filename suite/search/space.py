"""What a search may choose: the values of a sweep, read from the words that ``run.py -m`` takes.

overrides + a study's own sweep -> searched dimensions (of the stack), swept ones (a search for each), fixed words
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override

from suite.errors import ConfigError

if TYPE_CHECKING:
    from optuna import Trial

STACK = "optimization"
SEARCHED = (STACK, "smallest_slice")
"""Keys that are searched, by their start. All others make another question, whose answers cannot be compared."""


class Dimension(Protocol):
    """One key that is searched."""

    @property
    def key(self) -> str: ...

    @property
    def values(self) -> Sequence[str]:
        """All values, or the ends of a range, as they are typed."""
        ...

    def suggest(self, trial: Trial) -> str:
        """The value that a trial takes, as it is typed."""
        ...


@dataclass(frozen=True)
class Choice:
    """One of some values, as they are typed."""

    key: str
    values: tuple[str, ...]

    def suggest(self, trial: Trial) -> str:
        return trial.suggest_categorical(self.key, self.values)


@dataclass(frozen=True)
class Within:
    """A number between two, of which whole ones stay whole."""

    key: str
    low: float
    high: float

    @property
    def values(self) -> tuple[str, str]:
        return repr(self.low), repr(self.high)

    def suggest(self, trial: Trial) -> str:
        if isinstance(self.low, int) and isinstance(self.high, int):
            return str(trial.suggest_int(self.key, self.low, self.high))
        return repr(trial.suggest_float(self.key, self.low, self.high))


@dataclass(frozen=True)
class Space:
    """A sweep, divided into what is searched and what is not."""

    stacks: Choice
    arguments: tuple[Dimension, ...]
    """Of single optimizations: each is searched where the stack holds its optimization."""
    swept: tuple[Choice, ...]
    fixed: tuple[str, ...]

    def searches(self) -> Iterator[tuple[str, ...]]:
        """The words of each search but for what it searches: every combination of the swept values."""
        for values in itertools.product(*(choice.values for choice in self.swept)):
            yield (*self.fixed, *(f"{choice.key}={value}" for choice, value in zip(self.swept, values, strict=True)))

    def samples(self) -> Iterator[tuple[str, ...]]:
        """Words with every stack and every value in turn, so that wrong ones are found before anything runs.

        Raises:
            ConfigError: a key belongs to no stack.
        """
        for stack in self.stacks.values:
            yield (f"{STACK}={stack}",)
        for one in self.arguments:
            stack = next((stack for stack in self.stacks.values if _is_of(one.key, stack)), None)
            if stack is None:
                raise ConfigError(f"{one.key}: no stack holds that; searched are {', '.join(self.stacks.values)}")
            for value in one.values:
                yield (f"{STACK}={stack}", f"{one.key}={value}")

    def suggest(self, trial: Trial) -> tuple[str, ...]:
        """The words that a trial adds."""
        stack = self.stacks.suggest(trial)
        chosen = [one for one in self.arguments if _is_of(one.key, stack)]
        return (f"{STACK}={stack}", *(f"{one.key}={one.suggest(trial)}" for one in chosen))


def space(words: Iterable[Override]) -> Space:
    """The space that the words of a command span (`suite.composition.words_by_key`).

    Args:
        words: in Hydra's grammar, such as ``optimization=[],[a,b]`` or ``optimization.a.num_slices=choice(2,4)``.

    Raises:
        ConfigError: there is no choice of stacks.
    """
    every = list(words)
    sweeps = [one for one in every if one.is_sweep_override()]
    stacks = next((one for one in sweeps if one.get_key_element() == STACK), None)
    if stacks is None:
        raise ConfigError(f"{STACK}: a search needs stacks to choose from, such as {STACK}=[],vae_slicing,[a,b]")
    arguments = tuple(_dimension(one) for one in sweeps if one is not stacks and _is_searched(one))
    swept = tuple(_choice(one) for one in sweeps if not _is_searched(one))
    # A fixed argument of an optimization has a meaning in some stacks only, as a searched one has: a choice of one.
    single = [one for one in every if not one.is_sweep_override()]
    of_stacks = tuple(
        Choice(one.get_key_element(), (str(one.input_line).partition("=")[2],)) for one in single if _is_argument(one)
    )
    fixed = tuple(str(one.input_line) for one in single if not _is_argument(one))
    return Space(_choice(stacks), (*arguments, *of_stacks), swept, fixed)


def _is_searched(override: Override) -> bool:
    return override.get_key_element().startswith(SEARCHED) and "@" not in override.get_key_element()


def _is_argument(override: Override) -> bool:
    return override.get_key_element().startswith(f"{STACK}.")


def _is_of(key: str, stack: str) -> bool:
    """Whether a key has a meaning in a stack: ``optimization.NAME.argument`` has one where NAME is."""
    parts = key.split(".")
    return parts[0] != STACK or parts[1] in [name.strip() for name in stack.strip("[]").split(",")]


def _dimension(override: Override) -> Dimension:
    if override.is_interval_sweep():
        ends = override.value()
        assert isinstance(ends, IntervalSweep)
        return Within(override.get_key_element(), *_ends(ends))
    return _choice(override)


def _ends(interval: IntervalSweep) -> tuple[float, float]:
    """Hydra reads every end of an interval as a real number unless it is cast: ``int(interval(1,8))``."""
    assert interval.start is not None
    assert interval.end is not None
    return interval.start, interval.end


def _choice(override: Override) -> Choice:
    key = override.get_key_element()
    if override.is_interval_sweep():
        raise ConfigError(
            f"{override.input_line}: only arguments of optimizations are searched; choice(...) is accepted"
        )
    value = override.value()
    if isinstance(value, ChoiceSweep) and value.shuffle:
        raise ConfigError(f"{override.input_line}: a search has an order of its own; choice(...) is accepted")
    return Choice(key, tuple(dict.fromkeys(str(word) for word in override.sweep_string_iterator())))
