"""A GPU's temporaries and orders against those of a real one, operator by operator: what an NVIDIA H200 allocated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.gpu_study.checks.layouts import Seen, compared, simulated_call
from benchmarks.gpu_study.checks.operator_cases import cases

MEASURED = json.loads(Path(__file__).with_name("h200_operators.json").read_text())
UNKNOWN = {
    ("conv1d 3", "float32", "contiguous"),  # cuDNN chose a Fourier transform, which took 147 times the output
    ("conv2d 3x3, 3 channels out", "float16", "channels_last"),  # half a MiB of cuDNN's own beside an output of 1.5 MiB
}


@pytest.mark.parametrize("row", MEASURED["rows"], ids=lambda row: ", ".join(row[:3]))
def test_peak_and_order_of_an_operator_are_those_of_a_gpu(row: list) -> None:
    name, precision, order, peak_bytes, output_bytes, strides = row
    simulated = simulated_call(cases()[name], precision, order)
    found = compared(Seen(peak_bytes, output_bytes, tuple(strides)), simulated)
    assert simulated.strides == tuple(strides), found.told
    assert simulated.output_bytes == output_bytes
    assert bool(found.passed) is ((name, precision, order) not in UNKNOWN), found.told


def test_every_case_was_measured_in_every_precision_and_order() -> None:
    asked = {
        (name, precision, order)
        for name, case in cases().items()
        for precision in case.precisions
        for order in case.orders
    }
    assert {tuple(row[:3]) for row in MEASURED["rows"]} == asked
