"""Channels-last weights: the same values in another order, the same output to rounding, and strides that come back."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from optimizations.exactness import assert_exact, output_in_float64
from optimizations.tiny_models import caller, made
from torch import nn

from suite.errors import ConfigError
from suite.optimizations.channels_last import ChannelsLast
from suite.workload import NotApplicableError

PARTS = ("denoiser", "super_resolution", "decoder")


def workload_of(**parts: nn.Module) -> Any:
    return SimpleNamespace(parts=parts)


def layout(part: nn.Module) -> dict[str, tuple[tuple[int, ...], bytes]]:
    """Strides and values of every weight, in the order of its indices."""
    return {
        name: (weight.stride(), weight.detach().contiguous().numpy().tobytes())
        for name, weight in part.named_parameters()
    }


@pytest.mark.parametrize("name", ["image_unet", "motion_unet", "spatiotemporal_unet", "image_vae", "temporal_vae"])
def test_the_output_is_the_same_to_rounding_and_everything_comes_back(name: str) -> None:
    model = made(name)
    sizes = (1, 1 if "image" in name else 4, 8, 8)
    call = caller(name, model, *sizes)
    reference = output_in_float64(model, lambda model: caller(name, model, *sizes))
    before = layout(model)
    with torch.inference_mode():
        expected = call()
    handle = ChannelsLast(PARTS).apply(workload_of(denoiser=model))
    with torch.inference_mode():
        assert_exact(call(), expected, reference)
    assert {key: values for key, (_, values) in layout(model).items()} == {
        key: values for key, (_, values) in before.items()
    }
    handle.revert()
    assert layout(model) == before
    with torch.inference_mode():
        assert torch.equal(call(), expected)


def test_filters_of_two_and_three_dimensions_have_their_channels_innermost_and_nothing_else_changes() -> None:
    part = nn.ModuleDict({
        "flat": nn.Conv2d(4, 6, 3), "pointwise": nn.Conv2d(4, 6, 1), "video": nn.Conv3d(4, 6, 3),
        "up": nn.ConvTranspose2d(4, 6, 2), "line": nn.Conv1d(4, 6, 3), "linear": nn.Linear(4, 6),
    })  # fmt: skip
    before = layout(part)
    handle = ChannelsLast(("decoder",)).apply(workload_of(decoder=part))
    strides = {name: weight.stride() for name, weight in part.named_parameters() if weight.ndim > 1}
    assert strides == {
        "flat.weight": (36, 1, 12, 4), "pointwise.weight": (4, 1, 4, 4), "video.weight": (108, 1, 36, 12, 4),
        "up.weight": (24, 1, 12, 6), "line.weight": (12, 3, 1), "linear.weight": (4, 1),
    }  # fmt: skip
    assert handle.changes == "4 convolutions have their channels innermost"
    handle.revert()
    assert layout(part) == before


def test_activations_follow_from_one_convolution_to_the_next() -> None:
    convolutions = nn.Sequential(nn.Conv2d(4, 6, 3), nn.SiLU(), nn.Conv2d(6, 8, 1))
    ChannelsLast(("decoder",)).apply(workload_of(decoder=convolutions))
    assert convolutions(torch.randn(2, 4, 8, 8)).is_contiguous(memory_format=torch.channels_last)


def test_without_a_convolution_there_is_nothing_to_lay_out(smoke_workload: Callable) -> None:
    with pytest.raises(NotApplicableError, match=r"no 2-D or 3-D convolution in the denoiser$"):
        ChannelsLast(("denoiser",)).apply(smoke_workload("parti"))
    with pytest.raises(ConfigError, match=r"channels_last\.parts=unet"):
        ChannelsLast(("unet",))


def test_a_simulation_computes_and_holds_the_same(experiment: Callable) -> None:
    """What a layout saves lies inside convolution kernels, of which a simulation knows shapes alone."""
    found = []
    for stack in ("[]", "channels_last"):
        run = experiment("execution=simulate", f"optimization={stack}", "request.num_inference_steps=1")
        result = run.execution.execute(run, None, lambda message: None)
        assert result.record.outcome.status == "ok"
        convolutions = [
            row for row in result.tables["operators"].to_pylist() if row["operator_class"] == "convolution"
        ]  # fmt: skip
        found.append([(row["module"], row["calls"], row["flops"], row["bytes_written"]) for row in convolutions])
    assert found[0] == found[1]
