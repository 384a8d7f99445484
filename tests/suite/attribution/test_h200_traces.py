"""Two traces of our own, taken on an NVIDIA H200 of one generation of a tiny FLUX pipeline: eager, and with torch.compile.

Kept by ``python -m benchmarks.gpu_study check attribution compiled``; the second was taken with math attention preferred.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from suite.attribution.kineto import Attribution, attribute
from suite.attribution.trace import read_trace

TRACES = Path(__file__).with_name("traces")
NAMES = ("eager", "torch_compile")
STAGES = {"text_encode", "denoise_step", "decode", "generate"}


def path_of(name: str) -> Path:
    return TRACES / f"h200_{name}.json.gz"


@cache
def attributed(name: str) -> Attribution:
    return attribute(read_trace(path_of(name)))


@cache
def events(name: str) -> list[dict[str, Any]]:
    return json.loads(gzip.decompress(path_of(name).read_bytes()))["traceEvents"]


def device_ns(name: str, **wanted: Any) -> int:
    rows = attributed(name).operators.to_pylist()
    return round(
        sum(
            (row["device_self_s"] or 0.0) * 1e9
            for row in rows
            if all(row[key] == value for key, value in wanted.items())
        )
    )


def traced_ns(name: str, *categories: str) -> int:
    return round(sum(round(event["dur"] * 1000) for event in events(name) if event.get("cat") in categories))


@pytest.mark.parametrize("name", NAMES)
def test_all_device_time_is_attributed_to_a_class_and_a_stage(name: str) -> None:
    whole = traced_ns(name, "kernel", "gpu_memcpy", "gpu_memset")
    assert device_ns(name) == whole
    assert device_ns(name, operator_class="other") == 0
    assert {row["stage"] for row in attributed(name).operators.to_pylist() if row["device_self_s"]} == STAGES


@pytest.mark.parametrize("name", NAMES)
def test_core_rows_of_attention_hold_what_its_calls_do(name: str) -> None:
    calls = attributed(name).attention.to_pylist()
    assert device_ns(name, attention_part="core") == round(sum(call["device_s"] for call in calls) * 1e9) > 0


def test_device_time_of_fused_attention_is_that_of_its_kernels_and_what_they_are_cleared_by() -> None:
    fused = [event for event in events("eager") if event.get("cat") == "kernel" and "sdpa" in event["name"]]
    calls = [call for call in attributed("eager").attention.to_pylist() if call["kernel"] == "cudnn"]
    assert len(fused) == len(calls) == 11
    kernels_ns = sum(round(event["dur"] * 1000) for event in fused)
    assert kernels_ns <= round(sum(call["device_s"] for call in calls) * 1e9) <= 2 * kernels_ns


def test_eager_attention_is_told_by_kind_length_and_kernel() -> None:
    calls = attributed("eager").attention.to_pylist()
    assert Counter((call["stage"], call["kernel"], call["query_length"], call["key_length"]) for call in calls) == {
        ("text_encode", "cudnn", 77, 77): 4,
        ("text_encode", "math", 128, 128): 2,
        ("denoise_step", "cudnn", 192, 192): 6,
        ("decode", "cudnn", 256, 256): 1,
    }
    assert {call["attention_kind"] for call in calls if call["stage"] == "decode"} == {"spatial"}
    assert {call["precision"] for call in calls} == {"bfloat16"}


def test_compiled_kernels_are_of_the_classes_of_what_they_fuse() -> None:
    kernels = [event for event in events("torch_compile") if event.get("cat") == "kernel"]
    triton = sum(round(event["dur"] * 1000) for event in kernels if event["name"].startswith("triton_"))
    assert triton > 0
    rows = [row for row in attributed("torch_compile").operators.to_pylist() if "triton_" in row["operator"]]
    assert round(sum(row["device_self_s"] * 1e9 for row in rows)) == triton
    assert {row["stage"] for row in rows} == {"denoise_step"}
    assert {row["operator_class"] for row in rows} <= {"elementwise", "normalization", "data_movement", "attention"}
