"""Simulated execution: the workload's real code on fake tensors, filling the same record as a measured run.

Nothing is allocated and nothing is computed, so the published dimensions fit a laptop. What a simulation cannot know stays
null: seconds where no machine is named to estimate them for, memory that a device reports where nobody knows what its context
takes. On a machine that is too small the outcome is ``oom``, and all tables are there, as on one with just enough more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pyarrow as pa

from suite.environment import capture
from suite.errors import ConfigError
from suite.execution.facts import outcome_of, workload_facts
from suite.execution.torch_settings import torch_settings
from suite.experiment import Experiment, Result
from suite.offload import planned_host_memory
from suite.optimizations.contract import as_applied
from suite.planner import planned
from suite.probes.attention import disagreements
from suite.record import Arm, Outcome, Profile
from suite.roofline import estimate, with_estimates
from suite.simulation.generation import simulate
from suite.simulation.memory_tables import ShortOfMemory, with_device_bytes
from suite.units import quantity
from suite.workload import UnsupportedError


@dataclass(frozen=True)
class Simulated:
    """Simulates one generation of the run's own stack.

    No probe is asked: a simulation sees what they would. One that says that no simulation can (``not_simulated``) makes the
    run unsupported, rather than ok without what was asked for.
    """

    needs_no_device: ClassVar[bool] = True

    def execute(self, experiment: Experiment, scratch: Path, say: Callable[[str], None]) -> Result:
        """Simulate it and return its record and tables."""
        facts: dict[str, Any] = {"workload": experiment.workload_facts(), "outcome": Outcome(status="ok")}
        tables: Mapping[str, pa.Table] = {}
        try:
            with torch_settings(experiment.device_settings):
                facts["environment"] = capture("cpu")
                _require_simulable(experiment)
                tables = _simulate(experiment, say, facts)
        except ConfigError:
            raise
        except Exception as error:  # whatever a model throws is this run's outcome
            facts["outcome"] = outcome_of(error)
        return Result(experiment.blank_record(**facts), tables)


def _require_simulable(experiment: Experiment) -> None:
    for name, probe in experiment.probes.items():
        if reason := getattr(probe, "not_simulated", None):
            raise UnsupportedError(f"probe={name}: {reason}; execution=measure is needed")


def _simulate(experiment: Experiment, say: Callable[[str], None], facts: dict[str, Any]) -> Mapping[str, pa.Table]:
    experiment = planned(experiment, say)
    workload = experiment.make_workload(replace(experiment.placement, device="meta"))
    facts["workload"] = workload_facts(experiment, workload)
    workload.placement = experiment.placement  # what optimizations go by: the device that is simulated
    with ExitStack() as handles:
        applied, replaying = [], True
        for name, optimization in experiment.stack.items():
            handle = optimization.apply(workload)
            handles.callback(handle.revert)
            replaying &= handle.replayable
            applied.append(as_applied(name, optimization, handle))
        for probe in experiment.probes.values():
            facts |= getattr(probe, "simulated_facts", {})
        waiting = None if workload.offload is None else planned_host_memory(workload.offload)
        facts["arms"] = [Arm(name="stack", optimizations=applied, host_memory=waiting)]
        found = simulate(
            workload,
            device=experiment.placement.device,
            workspace_bytes=experiment.workspace_bytes,
            capacity_bytes=experiment.capacity_bytes,
            expandable_segments=experiment.device_settings.expandable_segments,
            replaying=replaying,
            say=say,
        )
    facts["profile"] = Profile(
        num_steps=found.num_steps, num_events=None, span_s=None, operators_without_flops=found.operators_without_flops
    )
    if found.out_of_memory is not None:
        facts["outcome"] = Outcome(status="oom", reason=_short(experiment, found.out_of_memory))
    facts["attention_disagreements"] = disagreements(found.attention, workload.temporal_lengths)
    return {
        "operators": _estimated(experiment, found.operators, facts),
        "attention": found.attention,
        "memory": with_device_bytes(found.memory, _context_bytes(experiment)),
        "memory_peaks": with_device_bytes(found.memory_peaks, _context_bytes(experiment)),
    }


def _context_bytes(experiment: Experiment) -> int | None:
    is_gpu = experiment.placement.device == "cuda"
    return experiment.machine.context_bytes if experiment.machine is not None and is_gpu else None


def _short(experiment: Experiment, found: ShortOfMemory) -> str:
    """Why a run is out of memory: what failed where, and how much is missing."""
    assert experiment.machine is not None, "without a machine there is no end of memory"
    failed = found.failed
    names = ("tried", "allocated", "reserved", "capacity")
    words = {name: quantity(getattr(failed, f"{name}_bytes"), "bytes") for name in names}
    where = f"in {found.stage}" if found.stage else "for weights"
    missing = quantity(found.needed_bytes - failed.capacity_bytes, "bytes")
    return (
        f"tried to allocate {words['tried']} {where}, where {words['allocated']} were allocated and {words['reserved']} "
        f"reserved of the {words['capacity']} that tensors may have on {experiment.machine.name}; the generation needs "
        f"{quantity(found.needed_bytes, 'bytes')}, {missing} more"
    )


def _estimated(experiment: Experiment, operators: pa.Table, facts: dict[str, Any]) -> pa.Table:
    """The operators with their time on the run's machine, whose figures become facts of the record."""
    if experiment.machine is None:
        return operators
    facts["environment"]["machine"] = msgspec.to_builtins(experiment.machine)
    found = estimate(operators, experiment.machine, allow_tf32=experiment.device_settings.tf32)
    return with_estimates(operators, found)
