"""TF32 is allowed or forbidden for a while, products and convolutions apart, as torch has it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from suite.tensor_cores import ALL_TF32, NO_TF32, Tf32, allowing_tf32


def state() -> tuple[bool, bool]:
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize("matmul", [True, False])
@pytest.mark.parametrize("cudnn", [True, False])
def test_each_holds_and_is_put_back(matmul: bool, cudnn: bool) -> None:
    before = state()
    with allowing_tf32(Tf32(not matmul, not cudnn)), allowing_tf32(Tf32(matmul, cudnn)):
        assert state() == (matmul, cudnn)
    assert state() == before


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({"device": {"allow_tf32_matmul": False, "allow_tf32_cudnn": True}}, Tf32(matmul=False, cudnn=True)),
        ({"device": {"allow_tf32_matmul": True, "allow_tf32_cudnn": False}}, Tf32(matmul=True, cudnn=False)),
        ({"device": {"allow_tf32": True}}, ALL_TF32),
        ({"device": {"allow_tf32": False}}, NO_TF32),
        ({"device": {}}, NO_TF32),
        ({"device": "cuda"}, NO_TF32),
        ({}, NO_TF32),
    ],
)
def test_records_tell_it_old_ones_for_both(config: dict[str, Any], found: Tf32) -> None:
    assert Tf32.of(config) == found
