"""Memory on a GPU, against a fake allocator: peaks fall to the stages that were open while they were reached."""

from __future__ import annotations

import pytest
import torch

from suite.probes.cuda_memory import CudaMemory
from suite.stage import stage, watched_by


class FakeAllocator:
    """Counts like the caching allocator: current and peak bytes, peaks reset on demand, segments of 20 bytes."""

    def __init__(self) -> None:
        self.current = self.peak = 100
        self.cached = 20
        self.retries = 4

    def allocate(self, size: int) -> None:
        self.current += size
        self.peak = max(self.peak, self.current)

    def reset(self) -> None:
        self.peak = self.current

    def stats(self) -> dict[str, int]:
        return {
            "allocated_bytes.all.current": self.current,
            "allocated_bytes.all.peak": self.peak,
            "num_alloc_retries": self.retries,
            "reserved_bytes.all.current": self.current + self.cached,
            "reserved_bytes.all.peak": self.peak + self.cached,
        }

    def empty_cache(self) -> None:
        self.cached = 20


@pytest.fixture
def allocator(monkeypatch: pytest.MonkeyPatch) -> FakeAllocator:
    fake = FakeAllocator()
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", fake.reset)
    monkeypatch.setattr(torch.cuda, "memory_stats", fake.stats)
    monkeypatch.setattr(torch.cuda, "empty_cache", fake.empty_cache)
    return fake


def test_each_stage_gets_the_peak_that_was_reached_in_it(allocator: FakeAllocator) -> None:
    memory = CudaMemory(weights_bytes=100, device_bytes=lambda: allocator.current + 500)
    with watched_by([memory]), stage("generate"):
        for size in (30, 50):
            with stage("denoise_step"), stage("denoiser_forward"):
                allocator.allocate(size)
                allocator.allocate(-size)
        with stage("decode"):
            allocator.allocate(70)
        allocator.allocate(-70)
    tables = memory.tables()
    peaks = {row["stage"]: row for row in tables["memory_peaks"].to_pylist()}
    assert {name: row["activations_bytes"] for name, row in peaks.items()} == {
        "generate": 70,
        "denoise_step": 50,
        "decode": 70,
    }
    assert peaks["decode"]["reserved_bytes"] == 190
    assert peaks["generate"]["device_bytes"] == 670
    timeline = tables["memory"].to_pylist()
    assert max(row["allocated_bytes"] for row in timeline) == 170
    assert [row["step"] for row in timeline if row["stage"] == "denoise_step" and row["allocated_bytes"] > 100] == [
        0,
        1,
    ]


def test_what_earlier_runs_left_cached_is_not_this_generations(allocator: FakeAllocator) -> None:
    allocator.cached = 900
    memory = CudaMemory(weights_bytes=100, device_bytes=lambda: None)
    with watched_by([memory]), stage("generate"):
        allocator.allocate(30)
    assert memory.tables()["memory_peaks"].to_pylist()[0]["reserved_bytes"] == 150


def test_retries_are_those_of_the_stage_in_which_the_device_was_full(allocator: FakeAllocator) -> None:
    memory = CudaMemory(weights_bytes=100, device_bytes=lambda: None)
    with watched_by([memory]), stage("generate"):
        with stage("denoise_step"):
            allocator.allocate(30)
        with stage("decode"):
            allocator.retries += 2
        allocator.retries += 1
    rows = memory.tables()["memory_peaks"].to_pylist()
    assert {row["stage"]: row["num_alloc_retries"] for row in rows} == {"generate": 3, "denoise_step": 0, "decode": 2}


def test_weights_that_travel_are_not_told_apart(allocator: FakeAllocator) -> None:
    memory = CudaMemory(weights_bytes=None, device_bytes=lambda: None)
    with watched_by([memory]), stage("generate"):
        allocator.allocate(30)
    (row,) = memory.tables()["memory_peaks"].to_pylist()
    assert (row["weights_bytes"], row["activations_bytes"], row["allocated_bytes"]) == (None, None, 130)
