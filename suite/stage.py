"""Stages: the spans of a generation that workloads mark and probes watch.

A workload writes ``with stage("decode"): ...`` around a call into a part, and never learns who watches. With no watcher a
mark costs one context lookup, so marks stay in the measured code of the quiet pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Protocol

STAGES = (
    "generate",
    "text_encode",
    "prefill",
    "denoise_step",
    "decode_step",
    "interpolate",
    "super_resolve",
    "decode",
)
"""Every stage a workload may mark, in the order in which a generation passes them."""

STEP_STAGES = ("denoise_step", "decode_step")
"""Stages that repeat; their n-th span in a generation is step n (from 0)."""

DENOISER_FORWARD = "denoiser_forward"
"""A forward of the denoiser inside a step. A span of its own, since guidance may make two in one step; never a stage."""


class Watcher(Protocol):
    """Somebody who is told when a span begins and ends, in nesting order."""

    def enter(self, name: str) -> None: ...

    def exit(self, name: str) -> None: ...


_watchers: ContextVar[tuple[Watcher, ...]] = ContextVar("watchers", default=())


class stage:  # noqa: N801 - used as a keyword: ``with stage("decode"):``
    """Mark a span of work for whoever watches.

    Args:
        name: one of `STAGES`, or `DENOISER_FORWARD`.
    """

    __slots__ = ("_entered", "name")

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        self._entered = _watchers.get()
        for watcher in self._entered:
            watcher.enter(self.name)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for watcher in reversed(self._entered):
            watcher.exit(self.name)


@contextmanager
def watched_by(watchers: Sequence[Watcher]) -> Iterator[None]:
    """Let `watchers` see every span that is marked inside this block, besides those who watch already."""
    token = _watchers.set((*_watchers.get(), *watchers))
    try:
        yield
    finally:
        _watchers.reset(token)


class StepMarks:
    """Marks consecutive steps of a loop that belongs to somebody else.

    A library's denoising loop calls us only at the end of a step, so a step is the time from one such call to the next:
    ``begin`` opens the first step, ``next`` closes a step and opens another, ``end`` drops the step that never came.
    """

    def __init__(self, name: str, num_steps: int) -> None:
        self.name = name
        self.num_steps = num_steps
        self._done = 0
        self._open: stage | None = None

    def begin(self) -> None:
        """Open the first step, unless one is open or none is left."""
        if self._open is None and self._done < self.num_steps:
            self._open = stage(self.name)
            self._open.__enter__()

    def next(self) -> None:
        """Close the step that is open and, if any is left, open the next."""
        self.end()
        self._done += 1
        self.begin()

    def end(self) -> None:
        """Close the step that is open, if one is."""
        if self._open is not None:
            span, self._open = self._open, None
            span.__exit__(None, None, None)


def mark_calls(part: Any, name: str) -> None:
    """Put a stage mark around every call of `part` (``part(...)``), outside its hooks and outside anything compiled.

    The instance gets a subclass of its own whose ``__call__`` opens the stage: a forward hook would end up inside
    ``module.compile()``, and replacing ``forward`` would collide with libraries that replace it too.
    """
    original = type(part)

    def marked_call(self: Any, *args: Any, **kwargs: Any) -> Any:
        with stage(name):
            return original.__call__(self, *args, **kwargs)

    namespace = {"__call__": marked_call, "__module__": original.__module__, "__qualname__": original.__qualname__}
    part.__class__ = type(original.__name__, (original,), namespace)
