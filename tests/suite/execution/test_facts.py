"""What an exception means for the run that met it."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from suite.execution.facts import outcome_of
from suite.workload import NotApplicableError, UnsupportedError


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotApplicableError("nothing"), "not_applicable"),
        (UnsupportedError("not here"), "unsupported"),
        (MemoryError(), "oom"),
        (RuntimeError("broken"), "failed"),
    ],
)
def test_outcomes(error: Exception, status: str) -> None:
    assert outcome_of(error).status == status


def test_values_that_a_simulation_does_not_have_are_unsupported() -> None:
    with FakeTensorMode(), pytest.raises(Exception) as met:  # noqa: PT011 - torch's class has no public home
        torch.zeros(3).mean().item()
    outcome = outcome_of(met.value)
    assert (outcome.status, "simulation" in str(outcome.reason)) == ("unsupported", True)
