"""The fewest slices under a memory budget, found by simulating the run with more and more of them.

AutoSlices in a stack -> simulated peak with 1, 2, 4, ... slices -> the first count that fits, narrowed down -> PlannedSlices
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from suite.errors import ConfigError
from suite.experiment import Experiment
from suite.optimizations.auto_slices import AutoSlices, PlannedSlices
from suite.peaks import Peak, peak_of
from suite.units import quantity
from suite.workload import UnsupportedError

GIB = 2**30


def planned(experiment: Experiment, say: Callable[[str], None] = lambda message: None) -> Experiment:
    """The experiment with every `AutoSlices` of its stack replaced by the slices that it comes to.

    Raises:
        NotApplicableError: slicing changes nothing of this workload.
        UnsupportedError: even the most slices do not fit; says by how much.
        ConfigError: there is no budget.
    """
    stack = dict(experiment.stack)
    for name, optimization in experiment.stack.items():
        if isinstance(optimization, AutoSlices):
            stack[name] = _plan(replace(experiment, stack=stack), name, optimization, say)
    return replace(experiment, stack=stack)


def fewest(peak: Callable[[int], int], budget: int, most: int) -> tuple[int | None, dict[int, int]]:
    """The smallest number of slices whose peak is within the budget while one fewer is not.

    Doubles until the peak fits, then halves the gap. Where the peak does not fall everywhere with more slices, what is found
    still fits and one fewer does not, though a still smaller number might.

    Args:
        peak: bytes that the run peaks at with so many slices; one slice is the run as it is.
        budget: bytes.
        most: slices tried.

    Returns:
        the number, None where nothing fits; and every peak that was looked at.
    """
    seen = {1: peak(1)}
    low = high = 1
    while seen[high] > budget:
        if high == most:
            return None, seen
        low, high = high, min(2 * high, most)
        seen[high] = peak(high)
    while high - low > 1:
        middle = (low + high) // 2
        seen[middle] = peak(middle)
        low, high = (low, middle) if seen[middle] <= budget else (middle, high)
    return high, seen


def _plan(experiment: Experiment, name: str, auto: AutoSlices, say: Callable[[str], None]) -> PlannedSlices:
    budget = _budget(experiment, name, auto)
    holders: dict[int, str] = {}

    def peak(num_slices: int) -> int:
        say(f"planning: {num_slices} slices")
        found = simulated_peak(_with(experiment, name, _sliced(auto, num_slices)), auto.counter)
        holders[num_slices] = found.holder
        return found.size

    most = auto.max_slices
    count, seen = fewest(peak, budget, most)
    if count is None:
        least, best = min((peak_bytes, number) for number, peak_bytes in seen.items())
        too_much = f"{quantity(least - budget, 'bytes')} too much; {holders[best]} holds it"
        raise UnsupportedError(
            f"nothing fits {quantity(budget, 'bytes')}: the least simulated peak ({auto.counter}) is "
            f"{quantity(least, 'bytes')} with {best} slices, {too_much}"
        )
    return _sliced(auto, count, _told(count, seen, budget, auto.counter))


def _sliced(auto: AutoSlices, num_slices: int, told: str = "") -> PlannedSlices:
    return PlannedSlices(auto.grouping(num_slices) if num_slices > 1 else None, told)


def _told(count: int, seen: dict[int, int], budget: int, counter: str) -> str:
    chosen = "no slices" if count == 1 else f"{count} slices"
    fits = (
        f"{chosen}: simulated peak {quantity(seen[count], 'bytes')} {counter}, {quantity(budget - seen[count], 'bytes')} "
        f"below the {quantity(budget, 'bytes')} allowed"
    )
    if count == 1:
        return fits
    fewer = f"{count - 1} would need {quantity(seen[count - 1], 'bytes')}, " if count > 2 else ""
    return f"{fits}; {fewer}none {quantity(seen[1], 'bytes')}"


def _budget(experiment: Experiment, name: str, auto: AutoSlices) -> int:
    if auto.memory_budget_gib is not None:
        return int(auto.memory_budget_gib * GIB)
    if experiment.machine is None or experiment.machine.usable_bytes is None:
        raise ConfigError(
            f"optimization.{name}.memory_budget_gib is not set: a number of GiB or machine=NAME is needed"
        )
    return experiment.machine.usable_bytes


def _with(experiment: Experiment, name: str, optimization: Any) -> Experiment:
    return replace(experiment, stack={**experiment.stack, name: optimization})


def simulated_peak(experiment: Experiment, counter: str) -> Peak:
    """The peak of one simulated generation of the experiment's stack.

    Args:
        experiment: whose other planned optimizations are in place.
        counter: ``allocated`` or ``reserved``.

    Raises:
        NotApplicableError, UnsupportedError: as its optimizations say.
    """
    from suite.simulation.generation import simulate

    workload = experiment.make_workload(replace(experiment.placement, device="meta"))
    workload.placement = experiment.placement
    with ExitStack() as handles:
        replaying = True
        for optimization in experiment.stack.values():
            handle = optimization.apply(workload)
            handles.callback(handle.revert)
            replaying &= handle.replayable
        found = simulate(
            workload,
            device=experiment.placement.device,
            workspace_bytes=experiment.workspace_bytes,
            capacity_bytes=experiment.capacity_bytes,
            expandable_segments=experiment.device_settings.expandable_segments,
            replaying=replaying,
        )
    peak = peak_of(found.memory_peaks, counter)
    assert peak is not None, "a simulation knows what it allocates and reserves"
    return peak
