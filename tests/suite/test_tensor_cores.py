"""TF32 is allowed or forbidden for a while."""

from __future__ import annotations

import pytest
import torch

from suite.tensor_cores import allowing_tf32


def state() -> tuple[bool, bool]:
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize("allowed", [True, False])
def test_it_holds_for_products_and_convolutions_and_is_put_back(allowed: bool) -> None:
    before = state()
    with allowing_tf32(not allowed), allowing_tf32(allowed):
        assert state() == (allowed, allowed)
    assert state() == before
