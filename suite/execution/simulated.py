"""Simulated execution: the workload's real code on fake tensors, filling the same record as a measured run.

Nothing is allocated and nothing is computed, so the published dimensions fit a laptop. What a simulation cannot know stays
null: memory that a device reports, and seconds where no machine is named to estimate them for.
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
            facts["environment"] = capture("cpu")
            _require_simulable(experiment)
            with torch_settings(experiment.device_settings):
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
            replaying=replaying,
            say=say,
        )
    facts["profile"] = Profile(
        num_steps=found.num_steps, num_events=None, span_s=None, operators_without_flops=found.operators_without_flops
    )
    facts["attention_disagreements"] = disagreements(found.attention, workload.temporal_lengths)
    return {
        "operators": _estimated(experiment, found.operators, facts),
        "attention": found.attention,
        "memory": found.memory,
        "memory_peaks": found.memory_peaks,
    }


def _estimated(experiment: Experiment, operators: pa.Table, facts: dict[str, Any]) -> pa.Table:
    """The operators with their time on the run's machine, whose figures become facts of the record."""
    if experiment.machine is None:
        return operators
    facts["environment"]["machine"] = msgspec.to_builtins(experiment.machine)
    found = estimate(operators, experiment.machine, allow_tf32=experiment.device_settings.allow_tf32)
    return with_estimates(operators, found)
