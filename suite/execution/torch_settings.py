"""Torch's settings of a run, measured or simulated: the simulator's rules read them as ATen does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from suite.experiment import DeviceSettings
from suite.tensor_cores import allowing_tf32


@contextmanager
def torch_settings(settings: DeviceSettings) -> Iterator[None]:
    """The settings of a run's device, put back afterwards so that the next run of a sweep starts from the same."""
    import torch

    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(settings.num_threads or before[0])
    torch.use_deterministic_algorithms(settings.deterministic)
    try:
        with allowing_tf32(settings.tf32), expandable_segments(settings.expandable_segments):
            yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])


@contextmanager
def expandable_segments(enabled: bool) -> Iterator[None]:
    """Whether the CUDA allocator makes expandable segments from now on; afterwards as before.

    The allocator takes both kinds side by side, whether it was used already or not (c10/cuda/CUDACachingAllocator.cpp, Note
    [Expandable Segments]). Other settings of ``PYTORCH_ALLOC_CONF`` stay. Without CUDA nothing reads it.
    """
    import torch

    get, put = torch._C._accelerator_getAllocatorSettings, torch._C._accelerator_setAllocatorSettings
    before = get()
    put(_joined(before, f"expandable_segments:{enabled}"))
    try:
        yield
    finally:
        # Settings that are not named stay as they are, so what was not set is put back to torch's default.
        put(before if "expandable_segments" in before else _joined(before, "expandable_segments:False"))


def _joined(settings: str, more: str) -> str:
    """Allocator settings in torch's syntax; of two for the same thing the latter counts."""
    return f"{settings},{more}" if settings else more
