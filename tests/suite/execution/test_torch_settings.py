"""Settings hold inside a run and are put back whatever happens."""

from __future__ import annotations

import pytest
import torch

from suite.execution.torch_settings import torch_settings
from suite.experiment import DeviceSettings


def state() -> tuple[int, bool, bool, bool]:
    tf32 = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    return torch.get_num_threads(), *tf32, torch.are_deterministic_algorithms_enabled()


def test_settings_hold_inside_and_are_put_back_after_an_error() -> None:
    before = state()
    seen = []

    def fail() -> None:
        with torch_settings(DeviceSettings(num_threads=3, allow_tf32=True, deterministic=True)):
            seen.append(state())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert seen == [(3, True, True, True)]
    assert state() == before


def test_without_a_number_of_threads_they_stay_as_they_are() -> None:
    with torch_settings(DeviceSettings(num_threads=None, allow_tf32=False, deterministic=False)):
        assert state() == (torch.get_num_threads(), False, False, False)
