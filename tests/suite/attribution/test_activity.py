"""How well the device is fed: hand-made time lines with known answers, and traces of an H100."""

from __future__ import annotations

from pathlib import Path

import pytest
from attribution.handmade import HandmadeTrace, only, real_trace

from suite.attribution.kineto import attribute
from suite.attribution.trace import read_trace


def test_busy_gaps_and_latency_of_each_step(tmp_path: Path) -> None:
    made = HandmadeTrace(tmp_path).stage("generate", 0, 3000)
    made.stage("denoise_step", 0, 1000).stage("denoise_step", 1000, 2000)
    made.launch(100, 104, 1).launch(110, 114, 2).launch(400, 404, 3).launch(1500, 1504, 4)
    made.kernel("a", 108, 158, correlation=1)  # the first: what lies before it is no pause of the step
    made.kernel("b", 160, 260, correlation=2)  # pause of 2 us; was in the queue
    made.kernel("c", 460, 500, correlation=3)  # pause of 200 us, called 60 us before
    made.kernel("d", 1510, 1520, correlation=4)
    table = made.attribute().device_activity
    assert table is not None
    first, second = table.to_pylist()
    assert first == {
        "stage": "denoise_step",
        "step": 0,
        "num_kernels": 3,
        "span_s": pytest.approx(392e-6),
        "busy_s": pytest.approx(190e-6),
        "num_long_gaps": 1,
        "long_gaps_s": pytest.approx(200e-6),
        "launch_latency_s": pytest.approx(34e-6),  # the median of 8 and 60
        "num_synchronizations": 0,
        "synchronization_s": 0.0,
    }
    assert (second["step"], second["num_long_gaps"], second["launch_latency_s"]) == (1, 0, pytest.approx(10e-6))
    assert second["busy_s"] == second["span_s"] == pytest.approx(10e-6)


def test_streams_count_together_and_copies_are_no_kernels(tmp_path: Path) -> None:
    made = HandmadeTrace(tmp_path).stage("generate", 0, 1000).launch(1, 2, 1).launch(3, 4, 2).launch(5, 6, 3)
    made.kernel("a", 10, 200, correlation=1).kernel("b", 50, 100, correlation=2)
    made.kernel("Memcpy DtoH", 150, 300, "gpu_memcpy", correlation=3)
    row = only(made.attribute().device_activity)
    assert (row["num_kernels"], row["num_long_gaps"]) == (2, 0)
    assert row["busy_s"] == row["span_s"] == pytest.approx(290e-6)


def test_a_pause_just_below_the_threshold_is_not_long(tmp_path: Path) -> None:
    made = HandmadeTrace(tmp_path).stage("generate", 0, 1000).launch(1, 2, 1).launch(3, 4, 2).launch(5, 6, 3)
    made.kernel("a", 10, 20, correlation=1).kernel("b", 119.999, 130, correlation=2).kernel(
        "c", 230, 240, correlation=3
    )
    row = only(made.attribute().device_activity)
    assert (row["num_long_gaps"], row["long_gaps_s"]) == (1, pytest.approx(100e-6))


def test_waits_of_the_host_are_counted_where_they_happen(tmp_path: Path) -> None:
    made = HandmadeTrace(tmp_path).stage("generate", 0, 1000).stage("denoise_step", 0, 500)
    made.launch(10, 12, 1).kernel("a", 20, 100, correlation=1)
    made.operator("aten::_local_scalar_dense", 30, 140)
    made.launch(40, 130, 2, "cudaStreamSynchronize").launch(600, 700, 3, "cudaDeviceSynchronize")
    row = only(made.attribute().device_activity)
    assert (row["stage"], row["num_synchronizations"]) == ("denoise_step", 1)
    assert row["synchronization_s"] == pytest.approx(90e-6)


def test_without_a_device_there_is_no_table(tmp_path: Path) -> None:
    made = HandmadeTrace(tmp_path).stage("generate", 0, 100).operator("aten::mm", 10, 20, [2, 3], [3, 4])
    assert made.attribute().device_activity is None


@pytest.mark.parametrize("name", ["timesformer", "owlv2", "vit_small"])
def test_real_devices_with_one_stream_are_busy_as_long_as_they_work(name: str) -> None:
    found = attribute(read_trace(real_trace(name)))
    row = only(found.device_activity)
    times_s = (found.kernel_total_s or 0, found.memcpy_total_s or 0, found.memset_total_s or 0)
    assert row["busy_s"] == pytest.approx(sum(times_s), rel=1e-12)
    assert row["busy_s"] + row["long_gaps_s"] <= row["span_s"]
    assert 5e-6 < row["launch_latency_s"] < 1e-5
