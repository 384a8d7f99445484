"""Measured execution: run it, and watch it in separate passes.

    build      warm up each arm          quiet pass (latency)      one pass for each probe that would disturb another
    |------|   |A g|A g|..|B g|B g|..    |A g|B g|B g|A g| ...     |A g, profiled|   |A g, memory|

What goes wrong is an outcome of the run, recorded with its reason, not a traceback: only a wrong configuration is an error.
"""

from __future__ import annotations

import gc
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any, ClassVar

import msgspec
import pyarrow as pa

from suite.environment import capture
from suite.errors import ConfigError
from suite.execution.certify import Processor, certified
from suite.execution.facts import outcome_of, workload_facts
from suite.execution.torch_settings import torch_settings
from suite.experiment import Experiment, Result
from suite.machine_load import num_cores
from suite.offload import measured_host_memory
from suite.planner import planned
from suite.probes.contract import Observation
from suite.probes.latency import StageTimes
from suite.record import Arm, Energy, MachineState, Outcome, ProbeCost, Profile, Record, Sample, WorkloadFacts
from suite.statistics import is_steady
from suite.subject import OUT_OF_THE_BOX, REFERENCE, STACK, Stack, Subject
from suite.workload import NotApplicableError, UnsupportedError

TRACEBACK_FILE = "traceback.txt"
STEADY_WINDOW = 3
"""Trials that must show no further speeding-up; more would cost minutes on a long video."""


@dataclass
class _Findings:
    """What a run has told so far; a run that fails half-way keeps it."""

    workload: WorkloadFacts | None = None
    environment: dict[str, Any] = field(default_factory=dict)
    arms: list[Arm] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    tables: dict[str, pa.Table] = field(default_factory=dict)
    costs: list[ProbeCost] = field(default_factory=list)
    profile: Profile | None = None
    energy: Energy | None = None
    disagreements: list[str] = field(default_factory=list)
    machine_states: tuple[MachineState, MachineState] | None = None

    def add(self, observation: Observation) -> None:
        self.samples += observation.samples
        self.tables.update(observation.tables)
        self.profile = observation.profile or self.profile
        self.energy = observation.energy or self.energy
        self.disagreements += observation.attention_disagreements
        self.machine_states = observation.machine_states or self.machine_states
        if observation.cost is not None:
            self.costs.append(observation.cost)

    def certify(self, processor: Processor) -> None:
        """Let the trials tell whether each arm was steady, and what the machine did meanwhile."""
        before, after = self.machine_states or (None, None)
        arms = []
        for arm in self.arms:
            known = msgspec.structs.replace(arm, before=before, after=after)
            certain, self.samples = certified(known, self.samples, processor)
            arms.append(certain)
        self.arms = arms


@dataclass(frozen=True)
class Measured:
    """Runs an experiment on this machine."""

    needs_no_device: ClassVar[bool] = False

    def execute(self, experiment: Experiment, scratch: Path, say: Callable[[str], None]) -> Result:
        """Run it and return its record and tables; files for the run's folder are left in `scratch`."""
        findings = _Findings()
        outcome = Outcome(status="ok")
        try:
            _require_device(experiment)
            with torch_settings(experiment.device_settings):
                _observe(experiment, scratch, say, findings)
        except ConfigError:
            raise
        except Exception as error:  # whatever a model, a kernel or a probe throws is this run's outcome
            outcome = outcome_of(error)
            if outcome.status == "failed":
                (scratch / TRACEBACK_FILE).write_text(traceback.format_exc())
        _clear(experiment.placement.device)
        return Result(_record(experiment, findings, outcome, scratch), findings.tables)


def _observe(experiment: Experiment, scratch: Path, say: Callable[[str], None], findings: _Findings) -> None:
    findings.environment = capture(experiment.placement.device)
    experiment = _placed(experiment, findings.environment)
    for probe in experiment.probes.values():
        if require := getattr(probe, "require", None):
            require(experiment.placement)
    experiment = planned(experiment, say)
    say("building")
    workload = experiment.make_workload()
    workload.placement = replace(workload.placement, compute_capability=experiment.placement.compute_capability)
    findings.workload = workload_facts(experiment, workload)
    subject = Subject(workload, _arms(experiment), experiment.protocol, scratch, experiment.save_trace, say)
    _keep_applicable_arms(subject, findings)
    for arm in subject.arms:
        _warm_up(subject, arm, findings)
    for probe in experiment.probes.values():
        findings.add(probe.observe(subject))
    findings.certify(Processor(experiment.placement.device, findings.environment["torch"]["num_threads"], num_cores()))
    findings.arms = [
        msgspec.structs.replace(arm, optimizations=subject.applied.get(arm.name, arm.optimizations))
        for arm in findings.arms
    ]
    if experiment.save_output:
        with subject.configured(STACK):
            subject.generate()
        folder = scratch / "output"
        folder.mkdir()
        workload.save(subject.last_output, folder)


def _arms(experiment: Experiment) -> dict[str, Stack]:
    """The run's own stack; besides it the workload out of the box and the user's reference, where they differ from it."""
    arms: dict[str, Stack] = {STACK: experiment.stack}
    if experiment.stack:
        arms[OUT_OF_THE_BOX] = {}
    if experiment.reference and experiment.reference != experiment.stack:
        arms[REFERENCE] = experiment.reference
    return arms


def _keep_applicable_arms(subject: Subject, findings: _Findings) -> None:
    """Try every stack once. The run ends where its own cannot be applied; another arm that cannot is noted and dropped."""
    arms = dict(subject.arms)
    for arm in arms:
        try:
            with subject.configured(arm) as applied:
                workload = subject.workload
                waiting = None if workload.offload is None else measured_host_memory(workload)
                findings.arms.append(Arm(name=arm, optimizations=applied, host_memory=waiting))
        except (NotApplicableError, UnsupportedError) as error:
            findings.arms.append(Arm(name=arm, outcome=outcome_of(error)))
            if arm == STACK:
                raise
            subject.arms = {name: stack for name, stack in subject.arms.items() if name != arm}


def _warm_up(subject: Subject, arm: str, findings: _Findings) -> None:
    """Generate, unrecorded, until trials stop getting faster; what was seen is kept apart from the trials."""
    protocol = subject.protocol
    seconds: list[float] = []
    steady = False
    while len(seconds) < protocol.max_warmup_trials:
        subject.say(f"warming up {arm}, trial {len(seconds) + 1}")
        times = StageTimes(subject.clock)
        with subject.configured(arm):
            subject.generate([times])
        generate = [sample for sample in times.samples(arm, len(seconds)) if sample.stage == "generate"]
        findings.samples += [msgspec.structs.replace(sample, warmup=True) for sample in generate]
        seconds += [sample.value for sample in generate]
        steady = is_steady(seconds, protocol.steady_tolerance, window=STEADY_WINDOW)
        if len(seconds) >= protocol.min_warmup_trials and steady:
            break
    findings.arms = [
        msgspec.structs.replace(known, num_warmup_trials=len(seconds), steady=steady) if known.name == arm else known
        for known in findings.arms
    ]


def _record(experiment: Experiment, findings: _Findings, outcome: Outcome, scratch: Path) -> Record:
    record = experiment.blank_record(
        workload=findings.workload or experiment.workload_facts(),
        outcome=outcome,
        environment=findings.environment,
        arms=findings.arms,
        samples=findings.samples,
        profile=findings.profile,
        energy=findings.energy,
        attention_disagreements=findings.disagreements,
        files=sorted(str(path.relative_to(scratch)) for path in scratch.rglob("*") if path.is_file()),
    )
    quiet = record.latencies()
    quiet_s = median(quiet.values()) if quiet else None
    costs = [msgspec.structs.replace(cost, quiet_s=quiet_s) for cost in findings.costs]
    return msgspec.structs.replace(record, probe_costs=costs)


def _placed(experiment: Experiment, environment: Mapping[str, Any]) -> Experiment:
    """The experiment with what its GPU can do: optimizations and the planner go by it."""
    capability = (environment.get("gpu") or {}).get("compute_capability")
    return replace(experiment, placement=replace(experiment.placement, compute_capability=capability))


def _clear(device: str) -> None:
    """Give back what the run held, so that the next one of a sweep starts clean."""
    import torch

    gc.collect()
    if device == "cuda" and torch.cuda.is_available():
        torch.cuda.empty_cache()


def _require_device(experiment: Experiment) -> None:
    import torch

    if experiment.placement.device == "cuda" and not torch.cuda.is_available():
        raise UnsupportedError("device=cuda: torch finds no CUDA device on this machine")
