"""Checks of Zhan et al. 2024 on records whose peaks and times are known, agreeing and differing."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports import load
from reports.claims.assess import assessed
from tests.reports.claims_records import operator, save_run, trials

GIB = 2**30
REQUEST = {"height": 576, "width": 1024, "num_frames": 16, "num_inference_steps": 25}
STREAMLINED = ("streamlined",)
CASE = "animatediff 576x1024 streamlined"


def rows(folder: Path, claim: str, case: str = CASE) -> dict[str, dict]:
    frame = assessed(load(folder))
    found = frame[(frame["claim"] == claim) & (frame["case"] == case)]
    return {row["reading"]: row for row in found.to_dict("records")}


def peak(allocated: float, reserved: float) -> list[dict]:
    return [
        {"stage": "generate", "allocated_bytes": int(allocated * GIB), "reserved_bytes": int(reserved * GIB)},
        {"stage": "decode", "allocated_bytes": 1, "reserved_bytes": 1},
    ]


def save(folder: Path, stack: tuple[str, ...], **changes: object) -> None:
    save_run(folder, "animatediff", stack, media="video", request=REQUEST, **changes)  # pyright: ignore


def test_peaks_by_counter_and_relative_to_the_original(tmp_path: Path) -> None:
    save(tmp_path, (), peaks=peak(30, 41))
    save(tmp_path, STREAMLINED, peaks=peak(11, 15))
    found = rows(tmp_path, "table_1_peak")
    assert found["allocated memory"]["verdict"] == "agrees"  # published: 11.07
    assert found["reserved memory"]["verdict"] == "differs"
    relative = found["allocated memory, relative to the original"]
    assert relative["published_value"] == pytest.approx(11.07 / 41.71)
    assert relative["our_value"] == pytest.approx(11 / 30, rel=1e-6)
    assert relative["verdict"] == "differs"
    original = rows(tmp_path, "table_1_peak", "animatediff 576x1024 original")
    assert set(original) == {"allocated memory", "reserved memory"}
    assert original["reserved memory"]["verdict"] == "agrees"  # published: 41.71
    assert original["allocated memory"]["verdict"] == "not comparable"  # a device holds more than that


def test_peaks_in_another_precision_are_no_evidence(tmp_path: Path) -> None:
    save(tmp_path, STREAMLINED, peaks=peak(11, 15), precision="float32")
    assert rows(tmp_path, "table_1_peak") == {}


@pytest.mark.parametrize(("seconds", "verdict"), [(5.0, "not comparable"), (30.0, "differs")])
def test_an_estimate_bounds_a_latency_from_below(tmp_path: Path, seconds: float, verdict: str) -> None:
    save(tmp_path, STREAMLINED, operators=[operator("convolution", seconds)])
    assert rows(tmp_path, "table_1_latency")[""]["verdict"] == verdict  # published: 15.15 s


def test_relative_latency_of_estimates(tmp_path: Path) -> None:
    save(tmp_path, (), operators=[operator("convolution", 10.0)])
    save(tmp_path, STREAMLINED, operators=[operator("convolution", 6.0)])
    found = rows(tmp_path, "table_1_latency")["relative to the original"]
    assert found["published_value"] == pytest.approx(15.15 / 24.38)
    assert (found["our_value"], found["verdict"]) == (pytest.approx(0.6), "agrees")


@pytest.mark.parametrize(
    ("gpu", "seconds", "verdict"),
    [
        ("NVIDIA A100-SXM4-80GB", 15.0, "agrees"),
        ("NVIDIA A100-SXM4-80GB", 8.0, "differs"),
        ("NVIDIA H200", 8.0, "not comparable"),
    ],
)
def test_a_measured_latency_counts_on_the_same_device(tmp_path: Path, gpu: str, seconds: float, verdict: str) -> None:
    save(tmp_path, STREAMLINED, gpu=gpu, samples=trials([seconds, seconds * 1.01, seconds * 0.99, seconds, seconds]))
    found = rows(tmp_path, "table_1_latency")[""]
    assert (found["our_value"], found["verdict"], found["basis"]) == (seconds, verdict, "measured")


@pytest.mark.parametrize(("slowdown", "verdict"), [(1.1, "agrees"), (1.5, "differs")])
def test_the_cost_of_grouping_by_a_loop_is_measured(tmp_path: Path, slowdown: float, verdict: str) -> None:
    box = [1.0, 1.1, 0.9, 1.05, 1.0]
    samples = trials([value * slowdown for value in box]) + trials(box, "out_of_the_box")
    save(tmp_path, ("operator_grouping",), gpu="GPU", samples=samples)
    (found,) = rows(tmp_path, "for_loop_grouping_slowdown", "").values()
    assert (found["our_value"], found["verdict"]) == (pytest.approx(slowdown), verdict)
    assert found["low"] <= found["our_value"] <= found["high"]
