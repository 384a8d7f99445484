"""Figures to bytes: here, or in another process while this one goes on; the bytes are the same."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from reports.style import house_style, laid_out, saved

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Files: TypeAlias = dict[str, bytes]
"""A figure by format."""
Save: TypeAlias = "Callable[[Figure, Sequence[str]], Callable[[], Files]]"
"""Begins to save a figure in some formats; what it returns waits for the files."""

MANY_RUNS = 100
"""From this many runs on, a second process is worth the second that it takes to start."""


def save_here(figure: Figure, formats: Sequence[str]) -> Callable[[], Files]:
    """Save in this process, at once."""
    files = files_of(figure, formats)
    return lambda: files


@contextmanager
def saving(num_runs: int) -> Iterator[Save]:
    """The way to save that suits a report of so many runs.

    The other process is a new one (no fork: Arrow and BLAS keep threads), so figures travel there as pickles.
    """
    if num_runs < MANY_RUNS:
        yield save_here
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:

        def save_there(figure: Figure, formats: Sequence[str]) -> Callable[[], Files]:
            try:
                packed = pickle.dumps(figure)
            except (AttributeError, TypeError, pickle.PicklingError):  # it holds a lambda, such as a formatter
                return save_here(figure, formats)
            waiting = pool.submit(_unpacked, packed, tuple(formats))
            # Whoever wants a figure that the other process has not begun saves it here rather than wait.
            return lambda: files_of(figure, formats) if waiting.cancel() else waiting.result()

        pool.submit(_warm_up)
        yield save_there


def files_of(figure: Figure, formats: Sequence[str]) -> Files:
    """A figure in some formats, laid out once for all of them."""
    with house_style():
        laid_out(figure)
        return {kind: saved(figure, kind) for kind in formats}


def _unpacked(packed: bytes, formats: Sequence[str]) -> Files:
    return files_of(pickle.loads(packed), formats)


def _warm_up() -> None:
    """Load what saving takes while the other process still reads."""
    import matplotlib.backends.backend_pdf
    import matplotlib.backends.backend_svg  # noqa: F401
