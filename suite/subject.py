"""The subject of a run: a workload, the arms it is measured in, and the profile that probes share.

An arm is a stack of optimizations. All arms of a run share one workload, its weights and its inputs, so that a comparison
between them compares nothing else; a stack is put on before a trial and taken off after it.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from suite.clock import Clock, StageSpan, clock_for
from suite.optimizations.contract import Optimization, as_applied
from suite.profiling import ProfiledGeneration, profile_generation
from suite.protocol import MeasurementProtocol
from suite.record import Applied
from suite.stage import Watcher, stage, watched_by
from suite.workload import Workload

STACK, OUT_OF_THE_BOX, REFERENCE = "stack", "out_of_the_box", "reference"

Stack = Mapping[str, Optimization]


@dataclass
class Subject:
    """What probes measure.

    Args:
        workload: ready to generate.
        arms: stacks by arm name; `STACK` is the run's own.
        protocol: how often, and when to stop.
        scratch: a folder for files that go into the run's folder.
        save_trace: whether the profile's trace stays there.
        say: told what is being done, for the person who waits.
    """

    workload: Workload
    arms: Mapping[str, Stack]
    protocol: MeasurementProtocol
    scratch: Path
    save_trace: bool = False
    say: Callable[[str], None] = field(default=lambda message: None)

    def __post_init__(self) -> None:
        self.clock: Clock = clock_for(self.workload.placement.device)
        self.applied: dict[str, list[Applied]] = {}
        """By arm: what was known of its stack when it was last taken off."""
        self.last_output: Any = None
        self._profile: ProfiledGeneration | None = None

    @contextmanager
    def configured(self, arm: str) -> Iterator[list[Applied]]:
        """The workload with an arm's stack on, applied in order and taken off in reverse."""
        stack = []
        with ExitStack() as undo:
            for name, optimization in self.arms[arm].items():
                handle = optimization.apply(self.workload)
                undo.callback(handle.revert)
                stack.append((name, optimization, handle))
            yield [as_applied(*one) for one in stack]
        self.applied[arm] = [as_applied(*one) for one in stack]

    def generate(self, watchers: Sequence[Watcher] = ()) -> None:
        """One generation inside the ``generate`` stage, with garbage of earlier ones collected before it begins."""
        self.last_output = None
        gc.collect()
        self.clock.synchronize()
        with watched_by(watchers), stage("generate"):
            self.last_output = self.workload.generate()

    def timed_generation(self, watchers: Sequence[Watcher] = ()) -> float:
        """One generation, and the seconds of its ``generate`` stage as the quiet pass takes them; the device is done then."""
        span = StageSpan(self.clock, "generate")
        self.generate([*watchers, span])
        return span.seconds()

    def profile(self) -> ProfiledGeneration:
        """The run's own arm, generated once under the profiler. Made at the first call, shared by all probes."""
        if self._profile is None:
            with self.configured(STACK):
                self._profile = profile_generation(self.workload, self.timed_generation, self.scratch, self.save_trace)
        return self._profile
