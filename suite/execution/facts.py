"""What every way of execution records alike: facts of the workload, and what an exception means for the run."""

from __future__ import annotations

from typing import Any

import msgspec

from suite.experiment import Experiment
from suite.record import Outcome, Part, WorkloadFacts
from suite.workload import NotApplicableError, UnsupportedError, Workload, storage_bytes

VALUE_ERRORS = ("DataDependentOutputException", "DynamicOutputShapeException")
"""What torch raises where code asks a fake tensor for values."""


def outcome_of(error: BaseException) -> Outcome:
    """What an exception means for the run that met it."""
    reason = " ".join(str(error).split())[:500]
    if isinstance(error, NotApplicableError):
        return Outcome(status="not_applicable", reason=reason)
    if isinstance(error, UnsupportedError):
        return Outcome(status="unsupported", reason=reason)
    if type(error).__name__ in VALUE_ERRORS:
        return Outcome(
            status="unsupported", reason="a decision needs a tensor's values, which a simulation does not have"
        )
    out_of_memory = type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in reason
    if isinstance(error, MemoryError) or out_of_memory:
        return Outcome(status="oom", reason=reason or "the host ran out of memory")
    return Outcome(status="failed", reason=f"{type(error).__name__}: {reason}")


def workload_facts(experiment: Experiment, workload: Workload) -> WorkloadFacts:
    """What is known of a workload once it is built."""
    return msgspec.structs.replace(
        experiment.workload_facts(),
        family=workload.family,
        media=workload.media,
        parts={name: _part(module) for name, module in workload.parts.items()},
        notes=list(workload.notes),
    )


def _part(module: Any) -> Part:
    sizes: dict[str, int] = {}
    for tensor in module.parameters():
        precision = str(tensor.dtype).removeprefix("torch.")
        sizes[precision] = sizes.get(precision, 0) + tensor.numel()
    return Part(
        class_name=type(module).__name__,
        num_parameters=sum(parameter.numel() for parameter in module.parameters()),
        weight_bytes=storage_bytes([module]),
        precision=max(sizes, key=lambda name: sizes[name]) if sizes else None,
    )
