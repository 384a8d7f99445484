"""Fewer steps: the workload that was built with so many, and back again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch

from suite.errors import ConfigError
from suite.optimizations.fewer_steps import FewerSteps
from suite.stage import stage, watched_by
from suite.workload import NotApplicableError


class Counted:
    def __init__(self) -> None:
        self.spans: Counter[str] = Counter()

    def enter(self, name: str) -> None:
        self.spans[name] += 1

    def exit(self, name: str) -> None:
        pass


def generate(workload: Any) -> tuple[torch.Tensor, int]:
    counted = Counted()
    with watched_by([counted]), stage("generate"):
        return workload.generate(), counted.spans["denoise_step"]


@pytest.mark.parametrize("name", ["stable_diffusion", "muse", "phenaki", "make_a_video", "imagen"])
def test_it_is_the_workload_with_so_many_steps(name: str, experiment: Callable, smoke_workload: Callable) -> None:
    workload = smoke_workload(name)
    asked = workload.request
    before, num_before = generate(workload)
    expected, _ = generate(experiment(f"workload={name}", "request.num_inference_steps=2").make_workload())
    handle = FewerSteps(0.5, 2).apply(workload)
    found, num_found = generate(workload)
    handle.revert()
    assert (num_before, num_found) == (asked.num_inference_steps, 2)
    assert torch.equal(found, expected)
    assert workload.request is asked
    assert torch.equal(generate(workload)[0], before)


def test_a_half_is_rounded_up(smoke_workload: Callable) -> None:
    handle = FewerSteps(0.5, None).apply(smoke_workload("animatediff"))
    assert handle.changes == "2 steps instead of 3"
    handle.revert()


def test_what_is_not_fewer_says_so(smoke_workload: Callable) -> None:
    with pytest.raises(NotApplicableError, match="that of the tokens"):
        FewerSteps(0.5, None).apply(smoke_workload("parti"))
    with pytest.raises(NotApplicableError, match="3 steps are not fewer than the 3"):
        FewerSteps(0.5, 3).apply(smoke_workload("animatediff"))


@pytest.mark.parametrize(("fraction", "num_steps"), [(0.0, None), (1.5, None), (0.5, 0)])
def test_wrong_values_are_one_sentence(fraction: float, num_steps: int | None) -> None:
    with pytest.raises(ConfigError, match="fewer_steps"):
        FewerSteps(fraction, num_steps)
