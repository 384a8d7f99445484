"""Figures to bytes: here, or in another process while this one goes on; the bytes are the same."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from reports.second_process import Later, here
from reports.style import house_style, laid_out, saved

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Files: TypeAlias = dict[str, bytes]
"""A figure by format."""
Save: TypeAlias = "Callable[[Figure, Sequence[str]], Callable[[], Files]]"
"""Begins to save a figure in some formats; what it returns waits for the files."""


def save_here(figure: Figure, formats: Sequence[str]) -> Callable[[], Files]:
    """Save in this process, at once."""
    files = files_of(figure, formats)
    return lambda: files


def saver(later: Later) -> Save:
    """The way to save beside the work that `later` is for; figures travel to another process as pickles."""
    if later is here:
        return save_here

    def save_later(figure: Figure, formats: Sequence[str]) -> Callable[[], Files]:
        try:
            packed = pickle.dumps(figure)
        except (AttributeError, TypeError, pickle.PicklingError):  # it holds a lambda, such as a formatter
            return save_here(figure, formats)
        return later(_unpacked, packed, tuple(formats))

    return save_later


def files_of(figure: Figure, formats: Sequence[str]) -> Files:
    """A figure in some formats, laid out once for all of them."""
    with house_style():
        laid_out(figure)
        return {kind: saved(figure, kind) for kind in formats}


def _unpacked(packed: bytes, formats: Sequence[str]) -> Files:
    return files_of(pickle.loads(packed), formats)


def warm_up() -> None:
    """Load what saving takes, in a process that has nothing else to do yet."""
    import matplotlib.backends.backend_pdf
    import matplotlib.backends.backend_svg  # noqa: F401
