"""The memory probe: allocations of known size at known stages, and the resident set beside them."""

from __future__ import annotations

from pathlib import Path

import torch
from toy import ToyWorkload, toy_subject

from suite.probes.memory import Memory, ResidentMemory, StageWindows
from suite.stage import stage
from suite.workload import storage_bytes

MIB = 2**20


class Hoarder(ToyWorkload):
    """Allocates 8 MiB while denoising and 32 MiB while decoding, and keeps neither."""

    def generate(self) -> torch.Tensor:
        with stage("denoise_step"):
            torch.ones(8 * MIB // 4)
        with stage("decode"):
            first = torch.ones(16 * MIB // 4)
            return (first + 1)[:1].clone()


def test_peaks_of_known_allocations(tmp_path: Path) -> None:
    subject = toy_subject(tmp_path, Hoarder())
    observation = Memory().observe(subject)
    peaks = {row["stage"]: row for row in observation.tables["memory_peaks"].to_pylist()}
    weights = sum(p.numel() * 4 for part in subject.workload.parts.values() for p in part.parameters())
    slack = 4096  # scalars and the output itself
    for name, expected in {"denoise_step": 8 * MIB, "decode": 32 * MIB, "generate": 32 * MIB}.items():
        assert 0 <= peaks[name]["activations_bytes"] - expected < slack, name
        assert peaks[name]["weights_bytes"] == weights
        assert peaks[name]["allocated_bytes"] == weights + peaks[name]["activations_bytes"]
        assert peaks[name]["reserved_bytes"] is None
        assert peaks[name]["device_bytes"] is None
    assert peaks["generate"]["resident_bytes"] > 50 * MIB, "a process with torch in it is larger than that"


def test_the_time_line_reaches_the_peak_and_is_ordered(tmp_path: Path) -> None:
    observation = Memory().observe(toy_subject(tmp_path, Hoarder()))
    rows = observation.tables["memory"].to_pylist()
    times = [row["t_s"] for row in rows]
    assert times == sorted(times)
    peak = max(row["allocated_bytes"] or 0 for row in rows)
    expected = next(
        row["allocated_bytes"] for row in observation.tables["memory_peaks"].to_pylist() if row["stage"] == "generate"
    )
    assert peak == expected
    assert not list(tmp_path.iterdir()), "the trace is a means, not a result"


def test_shared_storage_counts_once_and_meta_storage_counts() -> None:
    part = ToyWorkload().parts["denoiser"]
    alone = sum(parameter.numel() * 4 for parameter in part.parameters())
    assert storage_bytes([part, part]) == alone
    assert storage_bytes([part.to("meta")]) == alone


def test_resident_samples_fall_into_their_windows() -> None:
    resident, stages = ResidentMemory(), StageWindows(spans=[("generate", 1.0, 5.0), ("decode", 3.0, 5.0)])
    resident.times, resident.bytes = [0.5, 2.0, 4.0, 6.0], [900, 100, 300, 900]
    assert resident.peak([(1.0, 5.0)]) == 300
    assert resident.peak([(1.0, 2.5)]) == 100
    assert resident.peak([(2.5, 3.0)]) is None
    timeline = resident.timeline(stages)
    assert timeline.column("t_s").to_pylist() == [1.0, 3.0, 5.0]
