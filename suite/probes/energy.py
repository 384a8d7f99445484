"""Energy: joules of a generation, over trials of all arms that are long enough for the device's counter.

    |before| A g, A g, A g |after|  |before| B g, B g |after|  |before| B g, B g |after|  |before| A g, A g, A g |after| ...
    state, count                count, state

NVML's count on a GPU, RAPL's on a CPU. Both cover a whole device, idle draw included, for as long as the generations take one
after another; nothing is subtracted. What cannot be read is no sample and a reason, never a 0.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import msgspec

from suite import nvml
from suite.environment import gpu_uuid
from suite.errors import ConfigError, UnavailableError
from suite.probes.contract import Observation
from suite.probes.rapl import Rapl
from suite.record import DeviceState, Energy, EnergyTrial, Sample
from suite.subject import Subject


class Counter(Protocol):
    """Counts the joules of a device. Both calls raise `UnavailableError` where it does not."""

    @property
    def covers(self) -> str: ...

    def energy_j(self) -> float:
        """Joules since some moment that stays the same."""
        ...

    def state(self) -> dict[str, Any]:
        """Fields of `DeviceState` that are told now."""
        ...


@dataclass(frozen=True)
class EnergyProbe:
    """Joules of one generation of every arm, interleaved like the trials of latency.

    Args:
        min_span_s: a trial repeats the generation for at least so long.
        num_trials: of every arm.
    """

    min_span_s: float
    num_trials: int

    simulated_facts: ClassVar[dict[str, Any]] = {"energy": Energy(unavailable="a simulation consumes nothing to count")}

    def __post_init__(self) -> None:
        if self.min_span_s < 0:
            raise ConfigError(f"probe.energy.min_span_s={self.min_span_s}: a number of at least 0 is needed")
        if self.num_trials < 1:
            raise ConfigError(f"probe.energy.num_trials={self.num_trials}: a whole number of at least 1 is needed")

    def observe(self, subject: Subject) -> Observation:
        try:
            with counter_for(subject.workload.placement.device) as counter:
                return self._observe(subject, counter)
        except UnavailableError as error:
            return Observation(energy=Energy(unavailable=str(error)))

    def _observe(self, subject: Subject, counter: Counter) -> Observation:
        counter.energy_j()  # refuses before minutes are spent
        arms = list(subject.arms)
        samples, trials = [], []
        for trial in range(self.num_trials):
            subject.say(f"energy, round {trial + 1} of {self.num_trials}")
            for arm in arms if trial % 2 == 0 else reversed(arms):
                joules, told = self._trial(subject, counter, arm, trial)
                samples.append(Sample(metric="energy_j", value=joules / told.num_generations, trial=trial, arm=arm))
                trials.append(told)
        return Observation(samples=samples, energy=Energy(covers=counter.covers, trials=trials))

    def _trial(self, subject: Subject, counter: Counter, arm: str, trial: int) -> tuple[float, EnergyTrial]:
        """Joules of generations in a row, with nothing else between the two counts."""
        with subject.configured(arm):
            subject.clock.synchronize()
            before = counter.state()
            counted, start = counter.energy_j(), time.monotonic()
            num_generations, span_s = 0, 0.0
            while num_generations == 0 or span_s < self.min_span_s:
                subject.generate()
                subject.clock.synchronize()
                num_generations, span_s = num_generations + 1, time.monotonic() - start
            joules = counter.energy_j() - counted
            after = counter.state()
        if joules <= 0:
            raise UnavailableError(f"the energy counter stood still during {span_s:.3g} s of generations")
        told = EnergyTrial(
            arm=arm,
            trial=trial,
            num_generations=num_generations,
            span_s=span_s,
            before=msgspec.convert(before, DeviceState),
            after=msgspec.convert(after, DeviceState),
        )
        return joules, told


def counter_for(device: str) -> AbstractContextManager[Counter]:
    """The counter of torch's current GPU, or of the CPU's packages."""
    return nvml.opened(gpu_uuid()) if device == "cuda" else nullcontext(Rapl())
