"""Traces taken on an H100, where the sums are known from reading them by hand."""

from __future__ import annotations

import gzip
import json
from functools import cache
from typing import Any

import pytest
from attribution.handmade import only, real_trace, rows, total

from suite.attribution.kineto import Attribution, attribute
from suite.attribution.trace import read_trace

KERNEL_MS = {"timesformer": 154.8556, "owlv2": 551.4516, "vit_small": 1.2209}


@cache
def attributed(name: str, num_frames: int | None = None) -> Attribution:
    return attribute(read_trace(real_trace(name)), num_frames=num_frames)


def milliseconds(found: Attribution, **wanted: Any) -> float:
    return sum(row["device_self_s"] for row in rows(found.operators, **wanted)) * 1e3


@pytest.mark.parametrize("name", KERNEL_MS)
def test_kernels_add_up_exactly(name: str) -> None:
    found = attributed(name)
    events = json.loads(gzip.decompress(real_trace(name).read_bytes()))["traceEvents"]
    sums = {
        category: sum(round(event["dur"] * 1000) for event in events if event.get("cat") == category)
        for category in ("kernel", "gpu_memcpy", "gpu_memset")
    }
    totals = (found.kernel_total_s, found.memcpy_total_s, found.memset_total_s)
    assert [round(seconds * 1e9) for seconds in totals] == list(sums.values())
    assert round(found.kernel_total_s * 1e3, 4) == KERNEL_MS[name]
    copies = milliseconds(found, operator="gpu_memcpy"), milliseconds(found, operator="gpu_memset")
    kernels = total(found.operators, "device_self_s") * 1e3 - sum(copies)
    assert kernels == pytest.approx(sums["kernel"] / 1e6, rel=1e-12)
    assert copies == pytest.approx((sums["gpu_memcpy"] / 1e6, sums["gpu_memset"] / 1e6), rel=1e-12)


@pytest.mark.parametrize("name", KERNEL_MS)
def test_nearly_all_device_time_has_a_class(name: str) -> None:
    found = attributed(name)
    assert milliseconds(found, operator_class="other") <= 0.03 * total(found.operators, "device_self_s") * 1e3


@pytest.mark.parametrize("name", KERNEL_MS)
def test_host_rows_add_up(name: str) -> None:
    found = attributed(name)
    assert total(found.operators, "host_self_s") == pytest.approx(found.span_s, rel=1e-12)


def test_owlv2_is_attention() -> None:
    found = attributed("owlv2")
    long = sum(row["device_s"] for row in rows(found.attention, key_length=5185))
    assert round(100 * long / found.kernel_total_s, 1) == 89.2
    core = [row for row in found.operators.to_pylist() if row["attention_part"] == "core"]
    softmax = sum(row["device_self_s"] for row in core if row["operator"] == "aten::_softmax")
    products = sum(row["device_self_s"] for row in core if row["operator"] == "aten::bmm")
    assert softmax * 1e3 == pytest.approx(262.4, abs=0.2)
    assert products * 1e3 == pytest.approx(130.0 + 99.3, abs=0.6)
    assert all(row["operator_class"] == "attention" for row in core)


@pytest.mark.parametrize("num_frames", [None, 8])
def test_timesformer_spatial_and_temporal(num_frames: int | None) -> None:
    found = attributed("timesformer", num_frames)
    spatial = milliseconds(found, attention_kind="spatial", attention_part="core")
    scaling = milliseconds(found, attention_kind="spatial", attention_part="core", operator="aten::mul")
    assert round(spatial, 1) == 127.4
    assert round(spatial - scaling, 1) == 111.9
    assert round(scaling, 1) == 15.5

    calls = found.attention.to_pylist()
    assert [call["attention_kind"] for call in calls] == ["temporal", "spatial"] * 12
    assert {call["key_length"] for call in calls if call["attention_kind"] == "temporal"} == {8}
    sizes = {(call["batch"], call["heads"], call["query_length"], call["key_length"]) for call in calls}
    assert sizes == {(3136, 12, 8, 8), (8, 12, 3137, 3137)}
    assert {(call["kernel"], call["precision"], call["head_dim"]) for call in calls} == {("eager", "bfloat16", 64)}
    for kind in ("spatial", "temporal"):
        of_calls = sum(call["device_s"] for call in calls if call["attention_kind"] == kind)
        assert of_calls * 1e3 == pytest.approx(milliseconds(found, attention_kind=kind, attention_part="core"))


def test_attention_flops_follow_from_the_lengths() -> None:
    found = attributed("timesformer")
    for kind, (batch, length) in {"temporal": (3136 * 12, 8), "spatial": (8 * 12, 3137)}.items():
        counted = sum(row["flops"] or 0 for row in rows(found.operators, attention_kind=kind, attention_part="core"))
        assert counted == 12 * 4 * batch * length * length * 64


def test_vit_runs_the_flash_kernel() -> None:
    found = attributed("vit_small")
    assert {call["kernel"] for call in found.attention.to_pylist()} == {"flash"}
    assert total(found.attention, "device_s") == pytest.approx(
        milliseconds(found, operator="aten::_flash_attention_forward") / 1e3
    )


def test_layout_copies_belong_to_their_convolution() -> None:
    found = attributed("vit_small")
    (operator,) = rows(found.operators, operator="aten::cudnn_convolution")
    assert operator["operator_class"] == "convolution"
    assert operator["device_self_s"] == pytest.approx(milliseconds(found, operator_class="convolution") / 1e3)


def test_modules_come_from_frames_where_there_are_no_marks() -> None:
    modules = set(attributed("vit_small").operators["module"].to_pylist())
    assert "ViTModel_0.ViTEncoder_0.ViTLayer_0.ViTSdpaAttention_0.ViTSdpaSelfAttention_0" in modules
    patches = only(attributed("vit_small").operators, operator="aten::cudnn_convolution")
    assert patches["module"] == "ViTModel_0.ViTEmbeddings_0.ViTPatchEmbeddings_0.Conv2d_0"
