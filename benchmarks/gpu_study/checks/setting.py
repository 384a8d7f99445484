"""What a check is given to work with, and what it gives back."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from suite.experiment import Experiment
    from suite.subject import Subject

NUM_WARM = 3
"""Generations before anything is counted; a CUDA graph is recorded in the second."""

PAPER: Mapping[str, Sequence[str]] = {
    name: ("scale=paper", f"workload={name}", "device.precision=float16", "request.num_inference_steps=5", *size)
    for name, size in {"stable_diffusion": (), "animatediff": ("request.height=512", "request.width=512")}.items()
}
"""Words for workloads at their published dimensions, where a GPU is there. The second keeps one busy: its host is ahead."""


@dataclass(frozen=True)
class Verdict:
    """One answer.

    Args:
        passed: None where it cannot be told here, and `told` says why.
        told: one sentence with the numbers.
        figures: SI units.
    """

    passed: bool | None
    told: str
    figures: dict[str, Any] = field(default_factory=dict)

    def as_document(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Setting:
    """Where checks run.

    Args:
        device: ``cuda``, or ``cpu`` for a test drive, on which what asks a GPU cannot be told.
        scale: of the workloads.
        folder: for traces.
        scratch: for what is not kept.
    """

    device: str
    scale: str
    folder: Path
    scratch: Path

    @property
    def on_gpu(self) -> bool:
        return self.device == "cuda"

    def experiment(self, *overrides: str) -> Experiment:
        """Of stable_diffusion, unless the overrides say otherwise."""
        from suite.composition import experiment_of

        given = [f"device={self.device}", f"scale={self.scale}", f"output_dir={self.scratch}"]
        named = {override.partition("=")[0] for override in overrides}
        return experiment_of([*(one for one in given if one.partition("=")[0] not in named), *overrides])

    def subject(self, *overrides: str) -> Subject:
        """A workload, built, with the stack of the overrides as its only arm."""
        from suite.subject import STACK, Subject

        experiment = self.experiment(*overrides)
        return Subject(experiment.make_workload(), {STACK: experiment.stack}, experiment.protocol, self.scratch)

    def machine(self) -> str | None:
        """Name of the file of conf/machine that is this device; None where there is none."""
        from suite.machine import machines

        if not self.on_gpu:
            return None
        import torch

        reported = torch.cuda.get_device_name()
        return next((name for name, one in machines().items() if reported in one.reported_as), None)

    def cannot_tell(self, why: str = "it asks a GPU, and this run is not on one") -> dict[str, Verdict]:
        return {"all": Verdict(None, f"Not told: {why}.")}


@contextmanager
def warm(subject: Subject) -> Iterator[None]:
    """The subject with its stack on, after a few generations."""
    from suite.subject import STACK

    with subject.configured(STACK):
        for _ in range(NUM_WARM):
            subject.generate()
        subject.clock.synchronize()
        yield


def within(name: str, ours: float, theirs: float, tolerance: float, *, unit: str, **figures: Any) -> Verdict:
    """Whether two numbers agree to a share of the second."""
    ratio = ours / theirs if theirs else float("nan")
    passed = abs(ratio - 1) <= tolerance
    told = (
        f"{name}: {ours:.6g} {unit} beside {theirs:.6g} {unit}, {ratio:.4f} of it (within {tolerance:g} is asked for)."
    )
    return Verdict(passed, told, {"ours": ours, "theirs": theirs, "ratio": ratio, **figures})


def middle(values: Sequence[float]) -> float:
    return float(statistics.median(values))
