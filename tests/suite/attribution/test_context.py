from __future__ import annotations

from pathlib import Path

import numpy as np
from attribution.handmade import ORIGIN_US, HandmadeTrace

from suite.attribution.context import find_context
from suite.attribution.events import arrange


def names(listed: list[str], numbers: np.ndarray) -> list[str | None]:
    return [listed[number] if number >= 0 else None for number in numbers]


def test_where_rows_lie(tmp_path: Path) -> None:
    made = HandmadeTrace(tmp_path).stage("generate", 0, 100).stage("denoise_step", 10, 40)
    made.stage("denoiser_forward", 12, 38).module("denoiser", 13, 37).attention("cross", "denoiser.attn", 14, 20)
    made.operator("aten::mm", 15, 16).operator("aten::add", 30, 31).operator("aten::mul", 50, 51)
    context = find_context(arrange(made.read()))
    assert names(context.stages, context.stage) == ["generate"] + ["denoise_step"] * 6 + ["generate"]
    assert context.step.tolist() == [-1, 0, 0, 0, 0, 0, 0, -1]
    attn, part = "denoiser.attn", "denoiser"
    assert names(context.modules, context.module) == [None, None, None, part, attn, attn, part, None]
    assert context.scope.tolist() == [-1, -1, -1, -1, 4, 4, -1, -1]
    assert context.window.all()


def test_moments_follow_the_marks(tmp_path: Path) -> None:
    made = HandmadeTrace(tmp_path).stage("generate", 0, 100)
    made.stage("denoise_step", 10, 20).stage("denoise_step", 20, 30).stage("decode", 90, 100)
    context = find_context(arrange(made.read()))
    times = np.array([round((ORIGIN_US + t) * 1000) for t in (-5, 5, 15, 25, 50, 95, 105)])
    stage, step = context.moments.at(times)
    expected = [None, "generate", "denoise_step", "denoise_step", "generate", "decode", None]
    assert names(context.stages, stage) == expected
    assert step.tolist() == [-1, -1, 0, 1, -1, -1, -1]


def test_module_frames_make_paths(tmp_path: Path) -> None:
    made = HandmadeTrace(tmp_path).frame("nn.Module: UNet_0", 0, 50).frame("forward.py(3): forward", 1, 49)
    made.frame("nn.Module: Block_1", 2, 40).operator("aten::mm", 3, 4).operator("aten::add", 45, 46)
    context = find_context(arrange(made.read()))
    assert names(context.modules, context.module) == ["UNet_0", "UNet_0", "UNet_0.Block_1", "UNet_0.Block_1", "UNet_0"]


def test_our_marks_come_before_frames(tmp_path: Path) -> None:
    made = (
        HandmadeTrace(tmp_path).frame("nn.Module: UNet_0", 0, 50).module("denoiser", 1, 49).operator("aten::mm", 2, 3)
    )
    context = find_context(arrange(made.read()))
    assert names(context.modules, context.module) == [None, "denoiser", "denoiser"]
