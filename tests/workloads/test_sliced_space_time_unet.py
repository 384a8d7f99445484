"""Make-A-Video's U-Net slice by slice: exact, halves of guidance included, with less memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from optimizations.exactness import DTYPES, allowed_error, check_exact, error, normal, sliced_by
from optimizations.live_bytes import peak_bytes
from torch import Tensor

from suite.slicing.plan import SlicePlan
from workloads.make_a_video import MakeAVideo
from workloads.pseudo3d import PseudoConv3d
from workloads.sliced_space_time_unet import SLICING_RECIPES, attend_through_time
from workloads.space_time_unet import Layer, SpaceTimeUNet

WIDTH = 16


@cache
def unet(temporal: bool, dtype: torch.dtype) -> SpaceTimeUNet:
    torch.manual_seed(0)
    return (
        SpaceTimeUNet(
            in_channels=3,
            channels=[32, 64],
            num_res_blocks=1,
            attention=[False, True],
            head_width=32,
            condition_width=WIDTH,
            num_condition_tokens=4,
            temporal=temporal,
        )
        .to(dtype)
        .eval()
    )


def caller(model: SpaceTimeUNet, batch_size: int, num_frames: int, height: int, width: int) -> Callable[[], Tensor]:
    """Sides in pixels of the coarser level."""
    torch.manual_seed(1)
    dtype = model.conv_in.spatial.weight.dtype
    noisy = normal(batch_size, num_frames, 3, 2 * height, 2 * width, dtype=dtype)
    condition, beside = normal(batch_size, WIDTH, dtype=dtype), normal(batch_size, 3, WIDTH, dtype=dtype)
    return lambda: model(noisy, torch.tensor(3.0), torch.tensor(8.0), condition, beside)


def plan_of(batch: int, frames: int, pixels: int) -> SlicePlan:
    return SlicePlan(batch_slices=batch, frame_slices=frames, pixel_slices=pixels)


@pytest.mark.parametrize("temporal", [True, False])
@given(
    sizes=st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), st.integers(2, 5)),
    counts=st.tuples(*[st.integers(1, 7)] * 3),
    guided=st.booleans(),
    dtype=st.sampled_from(DTYPES),
)
@settings(max_examples=8, deadline=None, derandomize=True)
def test_the_output_is_the_unsliced_one_to_rounding(
    temporal: bool, sizes: tuple[int, ...], counts: tuple[int, ...], guided: bool, dtype: torch.dtype
) -> None:
    """Guidance's other half doubles the batch. A super-resolution network of frames by themselves has nothing along time."""
    model = unet(temporal, dtype)
    batch_size, *others = sizes
    batch_size *= 2 if guided else 1
    check_exact(model, lambda model: caller(model, batch_size, *others), SLICING_RECIPES, plan_of(*counts))


@pytest.mark.parametrize("temporal", [True, False])
def test_it_needs_less_memory(temporal: bool) -> None:
    model = unet(temporal, torch.float32)
    call = caller(model, 2, 5, 11, 9)
    whole = peak_bytes(call)
    with sliced_by(model, SLICING_RECIPES, plan_of(2, 4, 6)) as served:
        assert served == {SpaceTimeUNet, Layer, PseudoConv3d}
        assert peak_bytes(call) < 0.5 * whole


def test_a_norm_whose_statistics_are_sliced_too_is_no_rounding() -> None:
    """Attention along time on some columns of pixels as if there were no others: the bounds are bounds that this fails."""

    def attended(dtype: torch.dtype, width: int) -> Tensor:
        model = unet(True, dtype)
        (attention, *_) = (layer.attention for layer in model.layers_in_order() if getattr(layer, "attention", None))
        torch.manual_seed(2)
        features = normal(4, 64, 6, 6, dtype=dtype) + torch.arange(6, dtype=dtype)
        with torch.inference_mode():
            return torch.cat(
                [
                    attend_through_time(plan_of(1, 1, 3), attention, part.clone(), 4)
                    for part in features.split(width, 3)
                ],
                dim=3,
            )

    reference, whole, columns = attended(torch.float64, 6), attended(torch.float32, 6), attended(torch.float32, 2)
    assert error(whole, reference) <= allowed_error(whole, reference)
    assert error(columns, reference) > 100 * allowed_error(whole, reference)


def test_the_workload_hands_them_over() -> None:
    assert MakeAVideo.slicing_recipes is SLICING_RECIPES
