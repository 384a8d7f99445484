"""Dimensions and parameters of workloads, agreeing and differing. For the mirror: reports.claims.sources.model_parameters."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports import load
from reports.claims.assess import assessed
from suite.record import Part
from tests.reports.claims_records import call, operator, save_run

GIB = 2**30
SD_LENGTHS = [4096] * 2 + [1024] * 2 + [256] * 2 + [64] + [256] * 3 + [1024] * 3 + [4096] * 3


def verdicts(folder: Path, *claims: str) -> dict[tuple[str, str], str]:
    frame = assessed(load(folder))
    rows = frame[frame["claim"].isin(claims)] if claims else frame
    return {(row["claim"], row["case"]): row["verdict"] for row in rows.to_dict("records")}


@pytest.mark.parametrize(("lengths", "verdict"), [(SD_LENGTHS, "agrees"), (SD_LENGTHS[1:], "differs")])
def test_lengths_and_flops_of_stable_diffusion(tmp_path: Path, lengths: list[int], verdict: str) -> None:
    request = {"height": 512, "width": 512, "num_inference_steps": 50}
    calls = [call("text_encoder.a", "causal", 77, stage="text_encode")]
    calls += [call(f"denoiser.{n}", "spatial", length) for n, length in enumerate(lengths)]
    each = 803_300_000_000 if verdict == "agrees" else 700_000_000_000
    rows = [operator("convolution", 1.0, 50 * 2 * each), operator("elementwise", 1.0, 10**15)]
    save_run(tmp_path, "stable_diffusion", request=request, attention=calls, operators=rows)
    found = verdicts(tmp_path)
    assert found["self_attention_lengths", "stable_diffusion"] == verdict
    assert found["denoiser_forward_flops", "stable_diffusion"] == verdict


@pytest.mark.parametrize(("core", "linear", "verdict"), [(9e12, 5.979e12, "agrees"), (0.0, 6.76e12, "differs")])
def test_a_counter_that_does_not_see_attention_is_matched_without_it(
    tmp_path: Path, core: float, linear: float, verdict: str
) -> None:
    request = {"height": 1024, "width": 1024, "num_inference_steps": 50}
    rows = [
        operator("linear", 1.0, int(50 * 2 * linear)),
        operator("attention", 1.0, int(50 * 2 * core), kind="spatial", part="core"),
    ]
    save_run(tmp_path, "sdxl", request=request, attention=[call("denoiser.0", "spatial", 4096)], operators=rows)
    assert verdicts(tmp_path)["forward_flops_outside_the_core", "sdxl"] == verdict


@pytest.mark.parametrize(("num_layers", "verdict"), [(48, "agrees"), (47, "differs")])
def test_layers_width_and_steps_of_a_token_transformer(tmp_path: Path, num_layers: int, verdict: str) -> None:
    calls = [
        call(f"denoiser.layers.{layer}", "spatial", 256, step=step, stage="decode_step", heads=16, head_dim=128)
        for step in range(num_layers // 2)
        for layer in range(num_layers)
    ]
    save_run(tmp_path, "muse", family="transformer_masked", attention=calls)
    found = verdicts(tmp_path)
    assert found["layers", "muse"] == found["steps", "muse"] == verdict
    assert found["width", "muse"] == found["distinct_lengths", "muse"] == "agrees"


@pytest.mark.parametrize(("frames", "verdict"), [(16, "agrees"), (76, "differs")])
def test_frames_of_the_key_frame_decoder(tmp_path: Path, frames: int, verdict: str) -> None:
    save_run(tmp_path, "make_a_video", media="video", attention=[call("denoiser.t", "temporal", frames)])
    assert verdicts(tmp_path) == {("frames_of_key_frame_decoder", "make_a_video"): verdict}


@pytest.mark.parametrize(("gib", "verdict"), [(4.5, "agrees"), (5.5, "differs")])
def test_activation_peaks_and_weights(tmp_path: Path, gib: float, verdict: str) -> None:
    peaks = [
        {"stage": stage, "activations_bytes": int(size * GIB)}
        for stage, size in (("denoise_step", gib), ("decode", 3 * gib))
    ]
    weights = int(2.449 * GIB if verdict == "agrees" else 2 * GIB)
    parts = {"denoiser": Part(class_name="X", num_parameters=10**6, weight_bytes=weights, precision="bfloat16")}
    save_run(
        tmp_path, "animatediff", (), media="video", request={"height": 576, "width": 1024}, peaks=peaks, parts=parts
    )
    found = verdicts(tmp_path)
    assert found["denoiser_activation_peak_576x1024", "animatediff"] == verdict
    assert found["decode_activation_peak_576x1024", "animatediff"] == verdict
    assert found["denoiser_weights", "animatediff"] == verdict


@pytest.mark.parametrize(("billions", "verdict"), [(20.4, "agrees"), (11.0, "differs")])
def test_parameters_of_one_part_and_of_several(tmp_path: Path, billions: float, verdict: str) -> None:
    parts = {
        "text_encoder": Part(class_name="X", num_parameters=10**9, weight_bytes=1),
        "denoiser": Part(class_name="X", num_parameters=int((billions - 1) * 1e9), weight_bytes=1),
    }
    save_run(tmp_path, "parti", family="transformer_autoregressive", parts=parts)
    assert verdicts(tmp_path) == {("parameters_authors", "parti all parts"): verdict}


def test_recalled_parameters_are_reported_and_not_verified(tmp_path: Path) -> None:
    parts = {"denoiser": Part(class_name="X", num_parameters=2_030_000_000, weight_bytes=1)}
    save_run(tmp_path, "sd3", parts=parts)
    (row,) = assessed(load(tmp_path)).to_dict("records")
    assert (row["verdict"], row["trust"]) == ("agrees", "reported, not verified")
