"""Kernels of attention are preferred for a while, and nothing of it stays."""

from __future__ import annotations

import pytest
import torch
from torch.nn.attention import SDPBackend, _cur_sdpa_kernel_backends, sdpa_kernel

from suite.attention_backends import capability_of, exists_on, preferring


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


def test_kernels_exist_on_the_gpus_that_torch_has_them_for() -> None:
    assert capability_of(None) is None
    assert capability_of("12.0") == (12, 0)
    kernels = ("math", "flash", "efficient", "cudnn")
    on = {text: {kernel for kernel in kernels if exists_on(kernel, capability_of(text) or (0, 0))} for text in
          ("3.7", "5.0", "7.5", "8.0", "12.1", "12.2")}  # fmt: skip
    assert on["3.7"] == on["12.2"] == {"math"}
    assert on["5.0"] == on["7.5"] == {"math", "efficient"}
    assert on["8.0"] == on["12.1"] == set(kernels)
