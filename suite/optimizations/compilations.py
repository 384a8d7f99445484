"""What torch's compiler did while somebody watched: graphs, recompilations, graph breaks and the seconds they took.

Read from Dynamo's own counters and callbacks, which know of the process only: nobody else may compile at the same time.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

LONGEST_REASON = 80
"""Letters of a graph break's reason that are told."""


@dataclass
class Compilations:
    """Adds up over all the times that it watched."""

    ids: set[str] = field(default_factory=set)
    """Of what was compiled, ``frame/version``: a frame's later versions are recompilations."""
    seconds: float = 0.0
    graphs: int = 0
    from_cache: int = 0
    """Graphs whose code was found in inductor's cache on disk."""
    graph_breaks: Counter[str] = field(default_factory=Counter)
    """By reason."""
    _began: float = 0.0
    _read: dict[str, Counter[str]] | None = None
    """Dynamo's counters as they were last read; None while nobody watches."""

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Count what is compiled inside this block."""
        from torch._dynamo.callback import callback_handler

        self._read = _counters()
        callback_handler.register_start_callback(self._start)
        callback_handler.register_end_callback(self._end)
        try:
            yield
        finally:
            callback_handler.remove_start_callback(self._start)
            callback_handler.remove_end_callback(self._end)
            self._read_on()
            self._read = None

    @property
    def recompilations(self) -> int:
        return sum(not name.endswith("/0") for name in self.ids)

    def told(self) -> str:
        """What is known by now, in a sentence without a stop."""
        self._read_on()
        if not self.graphs:
            return "nothing has been compiled yet"
        cached = f" ({self.from_cache} from the cache on disk)" if self.from_cache else ""
        reasons = "; ".join(f"{reason} ({count})" for reason, count in self.graph_breaks.most_common(3))
        return (
            f"graphs: {self.graphs}{cached} in {self.seconds:.1f} s, recompilations: {self.recompilations}, "
            f"graph breaks: {self.graph_breaks.total()}{f', above all: {reasons}' if reasons else ''}"
        )

    def _start(self, call: Any) -> None:
        self._began = time.perf_counter()
        self.ids.add(str(call.compile_id))

    def _end(self, call: Any) -> None:
        del call
        self.seconds += time.perf_counter() - self._began

    def _read_on(self) -> None:
        """Add what was counted since the last time, if anybody watches."""
        if self._read is None:
            return
        now = _counters()
        found = {name: now[name] - before for name, before in self._read.items()}
        self._read = now
        self.graphs += found["stats"]["unique_graphs"]
        self.from_cache += found["inductor"]["fxgraph_cache_hit"]
        for reason, count in found["graph_break"].items():
            self.graph_breaks[" ".join(reason.split())[:LONGEST_REASON]] += count


def _counters() -> dict[str, Counter[str]]:
    from torch._dynamo.utils import counters

    return {name: Counter(counters[name]) for name in ("stats", "inductor", "graph_break")}
