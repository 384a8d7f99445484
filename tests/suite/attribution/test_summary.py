from __future__ import annotations

from pathlib import Path

from attribution.handmade import HandmadeTrace

from suite.attribution.summary import summary


def test_classes_by_device_time_and_attention_by_length(tmp_path: Path) -> None:
    made = (
        HandmadeTrace(tmp_path).stage("generate", 0, 9000).operator("aten::mm", 0, 2000, [2, 3], [3, 4]).launch(1, 2, 1)
    )
    made.attention("spatial", "denoiser.attn", 3000, 8000).operator(
        "aten::scaled_dot_product_attention", 3000, 4000, *[[1, 2, 4, 8]] * 3
    )
    made.launch(3001, 3002, 2).kernel("gemm", 5000, 6000, correlation=1).kernel("flash", 6000, 9000, correlation=2)
    lines = [line.split() for line in summary(made.attribute()).splitlines()]
    assert lines[:3] == [
        ["operator", "class", "host", "ms", "device", "ms", "TFLOP"],
        ["attention", "1.000", "3.000", "0.000"],
        ["linear", "2.000", "1.000", "0.000"],
    ]
    assert lines[-2:] == [
        ["attention", "keys", "calls", "host", "ms", "device", "ms"],
        ["spatial", "4", "1", "1.000", "3.000"],
    ]


def test_a_host_trace_shows_no_device_time(tmp_path: Path) -> None:
    lines = summary(HandmadeTrace(tmp_path).operator("aten::silu", 0, 2000, [3]).attribute()).splitlines()
    assert [line.split() for line in lines[1:]] == [["elementwise", "2.000", "-", "0.000"]]
