"""Streamlined Inference as one optimization: its parts' arguments, what is left out and said, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from optimizations.exactness import assert_exact
from optimizations.loops import Loop, ddim_step, motion_unet, random
from torch import nn

from suite.optimizations.streamlined import Streamlined
from suite.record import Applied
from suite.subject import Subject
from suite.workload import NotApplicableError, UnsupportedError

EVERYTHING_CUT = "smallest_slice=1"


@pytest.fixture(scope="module")
def streamlined(experiment: Callable) -> Callable[..., Streamlined]:
    """With arguments as on the command line, without their common prefix."""

    def made(*arguments: str) -> Streamlined:
        overrides = [f"optimization.streamlined.{argument}" for argument in arguments]
        return experiment("optimization=streamlined", *overrides).stack["streamlined"]

    return made


def test_it_is_one_word_with_its_parts_own_defaults(experiment: Callable, streamlined: Callable) -> None:
    run = experiment("workload=animatediff", "optimization=streamlined")
    assert list(run.stack) == list(run.config["optimization"]) == ["streamlined"]
    assert run.name.startswith("animatediff-smoke-streamlined-")
    for name in ("feature_slicer", "operator_grouping", "step_rehash"):
        alone = experiment(f"optimization={name}").stack[name]
        assert getattr(run.stack["streamlined"], name) == alone
    both = experiment("optimization=streamlined", EVERYTHING_CUT).stack["streamlined"]
    assert (both.feature_slicer.smallest_slice, both.operator_grouping.smallest_slice) == (1, 1)
    changed = streamlined("operator_grouping.frame_slices=4", "step_rehash.num_full_steps=2")
    assert (changed.operator_grouping.frame_slices, changed.feature_slicer.frame_slices) == (4, 8)
    assert changed.step_rehash.num_full_steps == 2


def said(subject: Subject) -> tuple[Applied, Any]:
    """What was applied, and the output."""
    with subject.configured("stack") as applied:
        subject.generate()
    return applied[0], subject.last_output


def test_its_output_is_that_of_the_skipped_steps_alone(
    experiment: Callable, smoke_workload: Callable, float64_workload: Callable, tmp_path: Path
) -> None:
    workload = smoke_workload("make_a_video")
    whole = experiment("optimization=streamlined", EVERYTHING_CUT)
    alone = experiment("optimization=step_rehash")
    applied, found = said(Subject(workload, {"stack": whole.stack}, whole.protocol, tmp_path))
    _, expected = said(Subject(workload, {"stack": alone.stack}, alone.protocol, tmp_path))
    _, reference = said(Subject(float64_workload("make_a_video"), {"stack": alone.stack}, alone.protocol, tmp_path))
    assert_exact(found, expected, reference)
    assert not applied.exact
    assert all(f"{part}: " in applied.changes for part in ("feature_slicer", "operator_grouping", "step_rehash"))
    assert not applied.left_out


def test_without_steps_to_skip_it_is_exact_and_says_what_is_left_out(
    experiment: Callable, smoke_workload: Callable, float64_output: Callable, tmp_path: Path
) -> None:
    workload = smoke_workload("parti")
    run = experiment("optimization=streamlined", EVERYTHING_CUT)
    expected = workload.generate()
    applied, found = said(Subject(workload, {"stack": run.stack}, run.protocol, tmp_path))
    assert applied.exact
    assert_exact(found, expected, float64_output("parti"))
    assert list(applied.left_out) == ["step_rehash"]
    assert "a token that the step before has drawn" in applied.left_out["step_rehash"]
    assert f"step_rehash is left out: {applied.left_out['step_rehash']}" in applied.changes
    assert "operator_grouping: computed slice by slice: " in applied.changes


class Identity(nn.Module):
    def forward(self, x: torch.Tensor, *others: Any) -> torch.Tensor:
        return x


def test_where_no_part_has_a_meaning_neither_has_the_whole(streamlined: Callable) -> None:
    loop = Loop(Identity(), lambda net, x, number: net(x), random(1, 4), num_steps=4)
    with pytest.raises(NotApplicableError) as reason:
        streamlined().apply(loop)
    for part in ("feature_slicer", "operator_grouping", "step_rehash"):
        assert f"{part} is left out: " in str(reason.value)


def test_what_cannot_be_had_here_takes_the_other_parts_off_again(streamlined: Callable) -> None:
    unet = motion_unet()
    loop = Loop(unet, ddim_step([900, 600, 300]), random(1, 4, 4, 8, 8), num_steps=3)
    attention = torch.nn.functional.scaled_dot_product_attention
    first = streamlined().apply(loop)
    with pytest.raises(UnsupportedError, match="already reuses"):
        streamlined().apply(loop)
    first.revert()
    assert torch.nn.functional.scaled_dot_product_attention is attention
    assert not any("forward" in vars(module) for module in unet.modules())
