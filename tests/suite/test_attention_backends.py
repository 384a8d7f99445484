"""Kernels of attention are preferred for a while, and nothing of it stays."""

from __future__ import annotations

import pytest
import torch
from torch.nn.attention import SDPBackend, _cur_sdpa_kernel_backends, sdpa_kernel

from suite.attention_backends import preferring


def state() -> tuple[set, list[int]]:
    return set(_cur_sdpa_kernel_backends()), torch._C._get_sdp_priority_order()


@pytest.mark.parametrize("outer", list(SDPBackend.__members__.values())[1:-1])
def test_nothing_stays_even_inside_a_block_that_allows_one_kernel(outer: SDPBackend) -> None:
    before = state()
    with sdpa_kernel(outer):
        inside = state()
        with preferring([SDPBackend.MATH, SDPBackend.FLASH_ATTENTION]):
            assert state()[0] == {SDPBackend.MATH, SDPBackend.FLASH_ATTENTION}
            assert state()[1][:2] == [SDPBackend.MATH.value, SDPBackend.FLASH_ATTENTION.value]
        assert state() == inside
    assert state() == before


def test_nothing_stays_after_an_error() -> None:
    before = state()

    def fail() -> None:
        with preferring([SDPBackend.MATH]):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert state() == before
