"""Settings hold inside a run and are put back whatever happens."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from toy import device_settings

from suite.execution.torch_settings import expandable_segments, torch_settings

get = torch._C._accelerator_getAllocatorSettings


def state() -> tuple[int, bool, bool, bool]:
    tf32 = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    return torch.get_num_threads(), *tf32, torch.are_deterministic_algorithms_enabled()


def test_settings_hold_inside_and_are_put_back_after_an_error() -> None:
    before = state()
    seen = []

    def fail() -> None:
        settings = device_settings(num_threads=3, allow_tf32_matmul=True, deterministic=True, expandable_segments=True)
        with torch_settings(settings):
            seen.append((state(), get().endswith("expandable_segments:True")))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert seen == [((3, True, False, True), True)]
    assert state() == before
    assert not get().endswith("True")


def test_without_a_number_of_threads_they_stay_as_they_are() -> None:
    with torch_settings(device_settings(num_threads=None)):
        assert state() == (torch.get_num_threads(), False, False, False)


@pytest.fixture
def other_settings() -> Iterator[str]:
    before, other = get(), "pinned_use_background_threads:False"  # torch's default: nothing changes for other tests
    torch._C._accelerator_setAllocatorSettings(other)
    yield other
    torch._C._accelerator_setAllocatorSettings(before or other)


def test_other_settings_of_the_allocator_stay(other_settings: str) -> None:
    with expandable_segments(True):
        assert get() == f"{other_settings},expandable_segments:True"
        with expandable_segments(False):
            assert get().endswith("expandable_segments:False")
        assert get() == f"{other_settings},expandable_segments:True"
    assert get() == f"{other_settings},expandable_segments:False"
