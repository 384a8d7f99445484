"""Trace files of the Kineto profiler, decoded into columns."""

from __future__ import annotations

from pathlib import Path


class TraceError(ValueError):
    """A file that should hold a trace holds none, or one that cannot be read. The message is one sentence."""


class Trace:
    """A trace, decoded."""


def read_trace(path: Path) -> Trace:
    """Read a trace file, plain or gzipped."""
    raise NotImplementedError
