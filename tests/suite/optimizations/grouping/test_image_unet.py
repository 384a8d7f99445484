"""Imagen's U-Nets, base and super-resolution, one half of guidance and one image after another: exact, with less memory.

Other U-Nets: tests/suite/optimizations/test_operator_grouping.py.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from hypothesis import given, settings
from hypothesis import strategies as st
from optimizations.exactness import DTYPES, check_exact, normal, sliced_by
from optimizations.live_bytes import peak_bytes
from torch import Tensor

from suite.optimizations.operator_grouping import all_recipes
from suite.slicing.plan import SlicePlan

STAGES = ("base", "to_256", "to_1024")
HALVINGS = 16
"""Their upsamplers double, whatever the size was before it was halved: sides are multiples of this."""


@pytest.fixture(scope="session")
def unet(smoke_workload: Callable) -> Callable[..., Any]:
    """A U-Net of the cascade at smoke scale, with weights of its own."""

    @cache
    def made(stage: str, dtype: torch.dtype) -> Any:
        parts = smoke_workload("imagen").parts
        trained = {"base": parts["denoiser"], "to_256": parts["super_resolution"]["0"]}
        trained["to_1024"] = parts["super_resolution"]["1"]
        torch.manual_seed(0)
        return UNet2DConditionModel.from_config(trained[stage].config).to(dtype).eval()

    return made


def caller(model: Any, batch_size: int, height: int, width: int) -> Callable[[], Tensor]:
    """Sides in multiples of `HALVINGS` pixels."""
    torch.manual_seed(1)
    noisy = normal(batch_size, model.config.in_channels, HALVINGS * height, HALVINGS * width, dtype=model.dtype)
    text = normal(batch_size, 7, model.config.encoder_hid_dim, dtype=model.dtype)
    noise_level = None if model.config.class_embed_type is None else torch.full((batch_size,), 250)
    return lambda: model(noisy, torch.tensor(7), text, class_labels=noise_level).sample


@pytest.mark.parametrize("stage", STAGES)
@given(
    sizes=st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(1, 3)),
    count=st.integers(1, 7),
    guided=st.booleans(),
    dtype=st.sampled_from(DTYPES),
)
@settings(max_examples=5, deadline=None, derandomize=True)
def test_the_output_is_the_unsliced_one_to_rounding(
    stage: str, sizes: tuple[int, ...], count: int, guided: bool, dtype: torch.dtype, unet: Callable
) -> None:
    batch_size, *others = sizes
    batch_size *= 2 if guided else 1
    plan = SlicePlan(batch_slices=count, frame_slices=count, token_slices=count)
    check_exact(unet(stage, dtype), lambda model: caller(model, batch_size, *others), all_recipes(), plan)


@pytest.mark.parametrize("stage", STAGES)
def test_it_needs_less_memory(stage: str, unet: Callable) -> None:
    model = unet(stage, torch.float32)
    call = caller(model, 2, 2, 3)
    whole = peak_bytes(call)
    with sliced_by(model, all_recipes(), SlicePlan(batch_slices=2)):
        assert peak_bytes(call) < 0.7 * whole
