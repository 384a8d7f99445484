from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from attribution.handmade import HandmadeTrace, only

from suite.attribution.flaws import MEMORY_UNTOLD
from suite.attribution.memory import MAX_POINTS


@pytest.fixture
def made(tmp_path: Path) -> HandmadeTrace:
    made = HandmadeTrace(tmp_path)
    made.stage("generate", 100, 1000).stage("text_encode", 150, 200)
    made.stage("denoise_step", 300, 400).stage("denoise_step", 400, 500)
    return made


def test_a_cpu_tells_changes(made: HandmadeTrace) -> None:
    made.memory(50, 7)  # before the generation
    made.memory(160, 100).memory(170, 50).memory(180, -100)
    made.memory(310, 20).memory(410, 80).memory(420, -130)
    found = made.attribute(weights_bytes=1000)
    line = [
        (round(row["t_s"] * 1e6), row["stage"], row["step"], row["allocated_bytes"]) for row in found.memory.to_pylist()
    ]
    assert line == [
        (0, "generate", None, 1000),
        (60, "text_encode", None, 1100),
        (70, "text_encode", None, 1150),
        (80, "text_encode", None, 1050),
        (210, "denoise_step", 0, 1070),
        (310, "denoise_step", 1, 1150),
        (320, "denoise_step", 1, 1020),
    ]
    peaks = {row["stage"]: row for row in found.memory_peaks.to_pylist()}
    assert {name: row["activations_bytes"] for name, row in peaks.items()} == {
        "generate": 150,
        "text_encode": 150,
        "denoise_step": 150,
    }
    assert peaks["generate"]["allocated_bytes"] == 1150
    assert peaks["generate"]["weights_bytes"] == 1000
    assert peaks["generate"]["reserved_bytes"] is None


def test_a_stage_inherits_what_was_held_when_it_began(made: HandmadeTrace) -> None:
    made.memory(110, 500).memory(320, -400).memory(600, 5)
    peaks = {row["stage"]: row["activations_bytes"] for row in made.attribute().memory_peaks.to_pylist()}
    assert peaks == {"generate": 500, "text_encode": 500, "denoise_step": 500}


def test_without_weights_a_cpu_cannot_tell_the_whole(made: HandmadeTrace) -> None:
    made.memory(160, 100)
    assert only(made.attribute().memory_peaks, stage="generate")["allocated_bytes"] is None


def test_a_gpu_tells_totals(made: HandmadeTrace) -> None:
    made.memory(150, 999)  # the host's own, which is not shown beside a device's
    made.memory(50, 100, 1, allocated=2100, reserved=4096)
    made.memory(160, 300, 1, allocated=2400, reserved=4096).memory(310, 900, 1, allocated=3300, reserved=8192)
    made.memory(450, -900, 1, allocated=2400, reserved=8192)
    found = made.attribute(weights_bytes=2000)
    peaks = {row["stage"]: row for row in found.memory_peaks.to_pylist()}
    assert (peaks["generate"]["allocated_bytes"], peaks["generate"]["activations_bytes"]) == (3300, 1200)
    assert peaks["text_encode"]["reserved_bytes"] == 4096
    assert peaks["denoise_step"]["reserved_bytes"] == 8192
    assert [row["allocated_bytes"] for row in found.memory.to_pylist()] == [2100, 2400, 3300, 2400]


def test_a_long_time_line_is_thinned_and_keeps_every_peak(made: HandmadeTrace) -> None:
    changes = np.random.default_rng(0).integers(-50, 60, 40_000)
    times = np.sort(np.random.default_rng(1).uniform(101, 999, len(changes)))
    for time, change in zip(times.tolist(), changes.tolist(), strict=True):
        made.memory(time, change)
    found = made.attribute()
    assert len(found.memory) <= MAX_POINTS + 10
    level = np.cumsum(changes)
    line = found.memory.to_pylist()
    for begin, end, step in ((300, 400, 0), (400, 500, 1)):
        inside = (times >= begin) & (times < end)
        assert max(row["allocated_bytes"] for row in line if row["step"] == step) == level[inside].max()
    assert max(row["allocated_bytes"] for row in line) == level.max()
    assert line[-1]["allocated_bytes"] == level[-1]
    assert only(found.memory_peaks, stage="generate")["activations_bytes"] == level.max()


def test_a_trace_without_marks_or_without_memory(tmp_path: Path) -> None:
    made = HandmadeTrace(tmp_path).operator("aten::mm", 0, 10)
    assert made.attribute().memory is None
    made.memory(1, 64).memory(5, -64)
    found = made.attribute()
    assert [row["stage"] for row in found.memory.to_pylist()] == [None] * 3
    assert only(found.memory_peaks)["activations_bytes"] == 64


def test_the_busiest_device_speaks_whatever_its_number_is(made: HandmadeTrace) -> None:
    for device_type, device in ((1, -(2**31)), (1, 2**31 - 1), (1, 2**31 - 1)):
        made.memory(200 + device % 7, 10, device_type, 500, 900)
        made.events[-1]["args"]["Device Id"] = device
    assert only(made.attribute().memory_peaks, stage="generate")["allocated_bytes"] == 500


def test_more_bytes_than_any_machine_has_are_left_out_and_counted(made: HandmadeTrace) -> None:
    found = made.memory(200, 2**48).memory(210, 2**48 + 1).memory(220, 2**63).attribute(weights_bytes=0)
    assert only(found.memory_peaks, stage="generate")["activations_bytes"] == 2**48
    assert found.flaws == {MEMORY_UNTOLD: 2}
