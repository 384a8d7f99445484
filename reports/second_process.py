"""Half of the work in a second process: reading and saving take turns with what only this one can do.

What is asked for later is begun over there in order; whoever wants a result that has not been begun makes it here rather than
wait. Asking for the last results first therefore has both processes at work until the two meet.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

Result = TypeVar("Result")

MANY_RUNS = 10
"""From this many runs on, a second process is worth the second that it takes to start: a third of the time of such a report."""


class Later(Protocol):
    """Asks for ``function(*arguments)``; what it returns gives the result. Arguments and result can be pickled."""

    def __call__(self, function: Callable[..., Result], *arguments: Any) -> Callable[[], Result]: ...


def here(function: Callable[..., Result], *arguments: Any) -> Callable[[], Result]:
    """`Later` without a second process: made when it is wanted."""
    return lambda: function(*arguments)


def last_first(waiting: Sequence[Callable[[], Result]]) -> list[Result]:
    """All results in order, asked for from the last one on."""
    return [finish() for finish in reversed(waiting)][::-1]


@contextmanager
def second_process(num_runs: int, prepare: Callable[[], None]) -> Iterator[Later]:
    """The way to ask for work that suits so many runs; `prepare` is the first thing that is done over there.

    The other process is a new one (no fork: Arrow and BLAS keep threads).
    """
    if num_runs < MANY_RUNS:
        yield here
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=gc.disable) as pool:

        def there(function: Callable[..., Result], *arguments: Any) -> Callable[[], Result]:
            waiting = pool.submit(function, *arguments)
            return lambda: function(*arguments) if waiting.cancel() else waiting.result()

        there(prepare)
        yield there
