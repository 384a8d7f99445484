"""The plan: checks and studies in order, and the runs that they are made of. plan.yaml says which; see conf/study."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gpu_study.schedule import Job

PLAN = Path(__file__).with_name("plan.yaml")
CHECK = "check="
"""What an override begins with that asks for a check instead of a run."""
FULL_SCALE, CHECK_SCALE = "paper", "small"
"""Checks ask about the suite, not about a model: seconds a generation on a GPU."""


class PlanError(ValueError):
    """A plan that cannot be run. The message is one sentence."""


@dataclass(frozen=True)
class Where:
    """What the plan is run on.

    Args:
        device: ``cuda`` or ``cpu``.
        scale: ``paper``, or a smaller one for a test drive, at which a study's sizes are the workloads' own.
        precision: of all runs.
        folder: that the studies' folders lie in; below the project, so that no record tells of the machine.
        machine: simulate the runs for this one, a file of conf/machine, instead of measuring them.
    """

    device: str
    scale: str
    precision: str
    folder: str
    machine: str | None = None

    @property
    def label(self) -> str:
        """What tells one ledger from another: a test drive's is none of the GPU's."""
        return "-".join(filter(None, (self.device, self.scale, self.precision, self.machine)))

    def overrides(self, study: str) -> list[str]:
        how = ["execution=measure", "~machine"]
        if self.machine is not None:
            how = ["execution=simulate", f"machine={self.machine}"]
        placed = [f"device={self.device}", f"device.precision={self.precision}", f"scale={self.scale}"]
        return [*how, *placed, f"output_dir={self.folder}/{study}"]


@dataclass(frozen=True)
class Study:
    """One entry of plan.yaml."""

    name: str
    answers: str
    arguments: tuple[str, ...]
    """Later ones replace earlier ones of the same key."""
    at_other_scales: tuple[str, ...]
    seconds: float | Mapping[str, float]
    """Of one run, by workload where they differ: guesses for an H200, ``other`` for those that are not named."""


@dataclass(frozen=True)
class Plan:
    """What is asked of a machine, in order."""

    checks: Mapping[str, float]
    """Seconds by name."""
    always: tuple[str, ...]
    studies: tuple[Study, ...]

    def jobs(self, where: Where) -> list[Job]:
        """Checks first; a simulation has none."""
        checks = [] if where.machine else [_check(name, seconds, where) for name, seconds in self.checks.items()]
        return checks + [job for study in self.studies for job in jobs_of(study, self.always, where)]


def read_plan(path: Path = PLAN) -> Plan:
    """
    Raises:
        PlanError: two studies of one name.
    """
    import yaml

    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    studies = tuple(_study(entry) for entry in document["studies"])
    if len({study.name for study in studies}) < len(studies):
        raise PlanError(f"{path} has two studies of one name: their runs could not be told apart.")
    return Plan(document["checks"], tuple(document["always"]), studies)


def _study(entry: Mapping[str, Any]) -> Study:
    arguments, elsewhere = (tuple(entry.get(key, ())) for key in ("arguments", "at_other_scales"))
    return Study(entry["name"], entry["answers"], arguments, elsewhere, entry["seconds"])


def _check(name: str, seconds: float, where: Where) -> Job:
    scale = CHECK_SCALE if where.scale == FULL_SCALE else where.scale
    return Job("check", name, (f"{CHECK}{name}", where.device, scale, where.folder), seconds, f"check: {name}")


def jobs_of(study: Study, always: Sequence[str], where: Where) -> list[Job]:
    """Every run of a study, as Hydra would sweep it: the last axis changes fastest."""
    elsewhere = study.at_other_scales if where.scale != FULL_SCALE else ()
    fixed, axes = _sweep([*always, *where.overrides(study.name), *study.arguments, *elsewhere])
    jobs = []
    for point in itertools.product(*axes.values()):
        workload = next(word.partition("=")[2] for word in (*point, *fixed) if word.startswith("workload="))
        seconds = study.seconds
        if isinstance(seconds, Mapping):
            seconds = seconds.get(workload, seconds["other"])
        key = " ".join(point) or f"workload={workload}"
        jobs.append(Job(study.name, key, (*fixed, *point), seconds, f"{study.name}: {workload}"))
    return jobs


def _sweep(arguments: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """What every run is given, and the axes: those typed, and those of the study that nothing was typed for."""
    from suite.composition import words_by_key

    every = words_by_key(arguments)
    fixed = [str(one.input_line) for one in every.values() if not one.is_sweep_override()]
    return fixed, {key: list(_values(one)) for key, one in every.items() if one.is_sweep_override()}


def _values(override: Any) -> Iterator[str]:
    key = override.get_key_element()
    return (f"{key}={value}" for value in override.sweep_string_iterator())
