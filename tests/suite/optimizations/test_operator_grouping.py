"""Operator grouping: exact on every family of modules, reverted bit for bit, less memory than slicing layer by layer.

Names for the mirror: suite.optimizations.grouping.batch, suite.optimizations.grouping.image_unet,
suite.optimizations.grouping.motion_unet, suite.optimizations.grouping.spatial,
suite.optimizations.grouping.spatiotemporal_unet, suite.optimizations.grouping.temporal,
suite.optimizations.grouping.temporal_resnet, suite.optimizations.grouping.vae.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import ROOT
from diffusers.models.resnet import SpatioTemporalResBlock
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from optimizations.exactness import DTYPES, allowed_error, assert_exact, error, output_in_float64
from optimizations.live_bytes import peak_bytes
from optimizations.tiny_models import MODELS, caller, made
from torch import nn

from suite.errors import ConfigError
from suite.optimizations.feature_slicer import FeatureSlicer
from suite.optimizations.operator_grouping import OperatorGrouping
from suite.slicing.recipe import Recipe
from suite.subject import Subject
from suite.workload import NotApplicableError, Request


def grouping(**changed: Any) -> OperatorGrouping:
    settings = {
        "batch_slices": 2,
        "frame_slices": 3,
        "pixel_slices": 4,
        "token_slices": 2,
        "smallest_slice": 1,
        "recompute_first_temporal_convolution": False,
        "num_streams": 1,
    }
    return OperatorGrouping(**settings | changed)


def slicer(**changed: Any) -> FeatureSlicer:
    return FeatureSlicer(**{"frame_slices": 3, "pixel_slices": 4, "token_slices": 3, "smallest_slice": 1} | changed)


def workload_of(model: nn.Module, batch_size: int = 2, num_frames: int | None = None, **more: Any) -> Any:
    """As much of a workload as an optimization asks for."""
    request = Request(
        prompt="",
        negative_prompt=None,
        batch_size=batch_size,
        height=None,
        width=None,
        num_frames=num_frames,
        num_inference_steps=1,
        guidance_scale=None,
        seed=0,
    )
    return SimpleNamespace(parts={"denoiser": model}, request=request, slicing_recipes=more.get("recipes", {}))


@contextmanager
def applied(model: nn.Module, *stack: Any, num_frames: int = 4) -> Any:
    handles = [optimization.apply(workload_of(model, 2, num_frames)) for optimization in stack]
    try:
        yield handles
    finally:
        for handle in reversed(handles):
            handle.revert()


@cache
def model_of(name: str, dtype: torch.dtype) -> nn.Module:
    return made(name).to(dtype)


def check_exact(name: str, dtype: torch.dtype, sizes: tuple[int, ...], *stack: Any) -> None:
    model = model_of(name, dtype)
    call = caller(name, model, *sizes)
    with torch.inference_mode():
        expected = call()
        with applied(model, *stack, num_frames=sizes[1]):
            found = call()
        assert torch.equal(call(), expected), "taking it off puts everything back"
    assert_exact(found, expected, output_in_float64(model, lambda model: caller(name, model, *sizes)))


SIZES = st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(3, 9), st.integers(3, 7))
"""Batch, frames, height and width: odd ones, too, and none that the counts need divide."""


@pytest.mark.parametrize("name", MODELS)
@given(sizes=SIZES, counts=st.tuples(*[st.integers(1, 6)] * 3), recompute=st.booleans(), dtype=st.sampled_from(DTYPES))
@settings(max_examples=12, deadline=None, derandomize=True)
def test_the_output_is_the_ungrouped_one_to_rounding(
    name: str, sizes: tuple[int, ...], counts: tuple[int, ...], recompute: bool, dtype: torch.dtype
) -> None:
    batch, frames, pixels = counts
    stack = grouping(
        batch_slices=batch, frame_slices=frames, pixel_slices=pixels, recompute_first_temporal_convolution=recompute
    )
    check_exact(name, dtype, sizes, stack)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("both", [False, True])
def test_every_operator_by_itself_is_exact_alone_and_under_groups(name: str, both: bool) -> None:
    stack = [slicer(), grouping()] if both else [slicer()]
    check_exact(name, torch.float64, (2, 5, 9, 7), *stack)
    check_exact(name, torch.float32, (2, 5, 9, 7), *stack)


@pytest.mark.parametrize(
    ("name", "kind"), [("motion_unet", AnimateDiffTransformer3D), ("temporal_vae", SpatioTemporalResBlock)]
)
def test_norms_whose_statistics_are_sliced_too_are_no_rounding(
    name: str, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the published code does with temporal layers. The bounds above are bounds that it fails by far."""
    model = model_of(name, torch.float32)
    call = caller(name, model, 1, 4, 8, 8)
    reference = output_in_float64(model, lambda model: caller(name, model, 1, 4, 8, 8))
    stock: Callable = kind.forward

    def by_columns(module: Any, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        return torch.cat([stock(module, part, *args, **kwargs) for part in x.split(4, dim=-1)], dim=-1)

    with torch.inference_mode():
        expected = call()
        monkeypatch.setattr(kind, "forward", by_columns)
        assert error(call(), reference) > 100 * allowed_error(expected, reference)


def test_half_precision_differs_by_its_own_rounding() -> None:
    """A mistake of a hundredth would pass here: exactness is checked above."""
    check_exact("motion_unet", torch.bfloat16, (2, 4, 8, 8), grouping())


def peak(name: str, *stack: Any) -> int:
    """Peak live bytes of a call, at sizes that features dominate."""
    model = model_of(name, torch.float32)
    call = caller(name, model, 2, 8, 24, 24)
    with applied(model, *stack, num_frames=8):
        return peak_bytes(call)


COUNTS = {"frame_slices": 8, "pixel_slices": 8}


@pytest.mark.parametrize("name", ["motion_unet", "spatiotemporal_unet", "temporal_vae"])
def test_groups_save_memory_and_single_operators_save_less(name: str) -> None:
    whole, single, grouped = peak(name), peak(name, slicer(**COUNTS)), peak(name, grouping(**COUNTS))
    assert grouped < 0.4 * whole
    assert single > 1.5 * grouped, "all that lies between operators is there whole"


def test_recomputing_the_first_temporal_convolution_keeps_one_feature_less() -> None:
    kept, again = (
        peak("temporal_vae", grouping(**COUNTS, recompute_first_temporal_convolution=value)) for value in (False, True)
    )
    feature = 8 * 32 * 48 * 48 * 4
    assert kept - again > 0.5 * feature


def test_images_go_through_one_at_a_time() -> None:
    assert peak("image_unet", grouping()) < 0.6 * peak("image_unet")
    assert peak("image_vae", grouping()) < 0.2 * peak("image_vae")


class Other(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def test_modules_that_no_recipe_serves_say_so() -> None:
    with pytest.raises(NotApplicableError, match="no module of Other has groups"):
        grouping().apply(workload_of(Other()))
    with pytest.raises(NotApplicableError, match="no part has a convolution"):
        slicer().apply(workload_of(Other()))


def test_a_workload_brings_recipes_of_its_own() -> None:
    model = Other()
    recipes = {Other: Recipe(Other, lambda module, plan, x: x + plan.token_slices)}
    handle = grouping().apply(workload_of(model, recipes=recipes))
    with torch.no_grad():
        assert torch.equal(model(torch.zeros(1)), torch.full((1,), 2.0))
    assert handle.changes == "computed slice by slice: 1 Other"


def test_a_single_image_without_guidance_has_nothing_to_slice() -> None:
    with pytest.raises(NotApplicableError, match="a single image without guidance"):
        grouping().apply(workload_of(model_of("image_vae", torch.float32), batch_size=1))


def test_a_single_image_still_has_feed_forwards() -> None:
    handle = grouping().apply(workload_of(model_of("image_unet", torch.float32), batch_size=1))
    handle.revert()
    cut, in_place = handle.changes.split("; ")
    assert re.fullmatch(r"computed slice by slice: \d+ FeedForward", cut), "nothing else of it is cut"
    assert re.fullmatch(r"with activations in place: \d+ ResnetBlock2D", in_place)


def test_wrong_counts_are_one_sentence() -> None:
    with pytest.raises(ConfigError, match="pixel_slices=0: a whole number"):
        grouping(pixel_slices=0)
    with pytest.raises(ConfigError, match="token_slices=-1: a whole number"):
        slicer(token_slices=-1)


@pytest.mark.parametrize("name", ["animatediff", "stable_video_diffusion", "stable_diffusion"])
def test_steps_may_be_skipped_on_top(
    name: str, experiment: Callable, smoke_workload: Callable, float64_workload: Callable, tmp_path: Path
) -> None:
    """Groups by halves of guidance call every module twice in a step; whoever reuses features keeps those of both."""

    def generated(workload: Any, stack: str) -> torch.Tensor:
        run = experiment(f"optimization={stack}", "optimization.step_rehash.reuse=last_layer", "smallest_slice=2048")
        with Subject(workload, {"stack": run.stack}, run.protocol, tmp_path).configured("stack"):
            return workload.generate()

    workload = smoke_workload(name)
    skipping = generated(workload, "[step_rehash]")
    both = generated(workload, "[feature_slicer,operator_grouping,step_rehash]")
    reference = generated(float64_workload(name), "[step_rehash]")
    assert_exact(both, skipping, reference)
    assert error(workload.generate(), reference) > 10 * allowed_error(skipping, reference), "skipping is not exact"


@pytest.mark.parametrize("stack", ["operator_grouping", "[feature_slicer,operator_grouping]"])
@pytest.mark.parametrize("name", ["animatediff", "stable_video_diffusion", "stable_diffusion"])
def test_whole_generations_come_out_the_same(
    name: str,
    stack: str,
    experiment: Callable,
    smoke_workload: Callable,
    smoke_output: Callable,
    float64_output: Callable,
    tmp_path: Path,
) -> None:
    workload, expected = smoke_workload(name), smoke_output(name)
    run = experiment(f"optimization={stack}", "smallest_slice=2048")
    subject = Subject(workload, {"stack": run.stack}, run.protocol, tmp_path)
    with subject.configured("stack") as said:
        assert all(one.exact for one in said)
        assert_exact(workload.generate(), expected, float64_output(name))
    assert torch.equal(workload.generate(), expected), "taking it off puts everything back"


def test_recomputing_is_grouping_with_one_argument_changed() -> None:
    folder = ROOT / "conf" / "optimization"
    plain, recompute = (
        OmegaConf.to_container(OmegaConf.load(folder / f"{name}.yaml")[name], resolve=False)
        for name in ("operator_grouping", "operator_grouping_recompute")
    )
    assert plain["recompute_first_temporal_convolution"] is False
    assert recompute == plain | {"recompute_first_temporal_convolution": True}
