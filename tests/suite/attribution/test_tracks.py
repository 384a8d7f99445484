"""Tracks of traces written by hand: what is on them, and that a viewer can draw it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from attribution.handmade import ORIGIN_US, HandmadeTrace, real_trace

from suite.attribution.trace import read_trace
from suite.attribution.tracks import Slice, tracks

QUERY, LONG = [2, 4, 16, 8], [2, 4, 64, 8]


def told(slices: list[Slice]) -> list[tuple[str, float, float]]:
    """Name, begin and end in microseconds from the origin."""
    return [
        (one.name, round(one.start_ns / 1e3 - ORIGIN_US, 2), round(one.end_ns / 1e3 - ORIGIN_US, 2)) for one in slices
    ]


def drawable(slices: list[Slice]) -> bool:
    """Whether all lie side by side or inside each other."""
    open_ends: list[int] = []
    for one in slices:
        while open_ends and open_ends[-1] <= one.start_ns:
            open_ends.pop()
        if open_ends and one.end_ns > open_ends[-1]:
            return False
        open_ends.append(one.end_ns)
    return all(one.start_ns < one.end_ns for one in slices)


def generation(folder: Path) -> HandmadeTrace:
    made = HandmadeTrace(folder).stage("generate", 0, 100)
    for begin in (10, 50):
        made.stage("denoise_step", begin, begin + 30).stage("denoiser_forward", begin + 5, begin + 25)
        made.attention("temporal", "denoiser.motion", begin + 6, begin + 20)
        made.operator("aten::scaled_dot_product_attention", begin + 8, begin + 15, QUERY, LONG, LONG)
    return made


def test_stages_are_numbered_and_hold_the_denoisers_forwards(tmp_path: Path) -> None:
    (name, stages), _ = tracks(generation(tmp_path).read())
    assert name == "stages"
    assert told(stages) == [
        ("generate", 0, 100),
        ("denoise_step 0", 10, 40),
        ("denoiser_forward", 15, 35),
        ("denoise_step 1", 50, 80),
        ("denoiser_forward", 55, 75),
    ]
    assert drawable(stages)


def test_attention_is_the_module_and_inside_it_the_call(tmp_path: Path) -> None:
    _, (name, attention) = tracks(generation(tmp_path).read())
    assert name == "attention"
    assert told(attention)[:2] == [("temporal attention", 16, 30), ("temporal 16 x 64", 18, 25)]
    assert attention[0].args == {"module": "denoiser.motion"}
    assert attention[1].args["heads"] == 4
    assert drawable(attention)


def test_device_work_is_joined_by_who_launched_it(tmp_path: Path) -> None:
    made = generation(tmp_path).launch(19, 20, 1).launch(21, 22, 2).launch(36, 37, 3).launch(59, 60, 4)
    made.kernel("a", 200, 210, correlation=1).kernel("b", 210, 220, correlation=2)
    made.kernel("c", 230, 240, correlation=3).kernel("d", 250, 260, correlation=4)
    found = dict(tracks(made.read()))
    assert told(found["stages on the device"]) == [("denoise_step 0", 200, 240), ("denoise_step 1", 250, 260)]
    assert told(found["attention on the device"]) == [
        ("temporal attention", 200, 220),
        ("temporal attention", 250, 260),
    ]


def test_slices_that_would_cross_are_cut(tmp_path: Path) -> None:
    made = HandmadeTrace(tmp_path).stage("generate", 0, 100).stage("text_encode", 0, 10).launch(1, 2, 1)
    made.stage("decode", 20, 30).launch(21, 22, 2).kernel("a", 40, 50, correlation=1).kernel("b", 48, 60, correlation=2)
    (_, stages) = tracks(made.read())[-1]
    assert told(stages) == [("text_encode", 40, 50), ("decode", 50, 60)]


def test_a_trace_of_nothing_has_no_tracks(tmp_path: Path) -> None:
    assert tracks(HandmadeTrace(tmp_path).read()) == []
    assert tracks(HandmadeTrace(tmp_path).operator("aten::mm", 0, 10, [2, 2], [2, 2]).read()) == []


@pytest.mark.parametrize("name", ["timesformer", "owlv2", "vit_small"])
def test_tracks_of_real_traces_can_be_drawn_and_cover_the_attention(name: str) -> None:
    trace = read_trace(real_trace(name))
    found = tracks(trace)
    assert found
    assert all(drawable(slices) for _, slices in found)
    for _, slices in found:
        assert all(before.start_ns <= after.start_ns for before, after in pairwise(slices))
    if name == "timesformer":
        on_device = dict(found)["attention on the device"]
        spatial = sum(one.end_ns - one.start_ns for one in on_device if one.name == "spatial attention")
        assert spatial / 1e6 == pytest.approx(
            127.4, rel=0.01
        )  # its kernels, with the gaps of microseconds between them
