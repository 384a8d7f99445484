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
        with allowing_tf32(settings.allow_tf32):
            yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
