"""Checks of Golden et al. 2024 on records whose answers are known, agreeing and differing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reports import load
from reports.claims.assess import assessed, contradictions
from suite.record import Part
from tests.reports.claims_records import call, operator, save_run, trials

SD = {"height": 512, "width": 512}
LARGE = {"height": 1024, "width": 1024}
PHENAKI = {"height": 128, "width": 128, "num_frames": 11}
MAV = {"height": 768, "width": 768, "num_frames": 76}


def judged(folder: Path, claim: str, case: str = "") -> dict[str, tuple[Any, str]]:
    """Our value and the verdict by reading."""
    frame = assessed(load(folder))
    rows = frame[(frame["claim"] == claim) & (frame["case"] == case)]
    return {row["reading"]: (row["our_value"], row["verdict"]) for row in rows.to_dict("records")}


def save_shares(folder: Path, **shares: float) -> None:
    """Runs of diffusion models with flash attention and this share of convolution."""
    for workload, part in shares.items():
        side = 512 if workload == "stable_diffusion" else 1024
        rows = [operator("convolution", part), operator("linear", 1 - part)]
        save_run(folder, workload, request={"height": side, "width": side}, operators=rows)


@pytest.mark.parametrize(("share", "verdict"), [(0.42, "agrees"), (0.70, "differs"), (0.20, "differs")])
def test_the_largest_share_of_convolution_counts(tmp_path: Path, share: float, verdict: str) -> None:
    save_shares(tmp_path, stable_diffusion=share, prod_image=0.1, imagen=0.05)
    found = judged(tmp_path, "conv_share_diffusion_after_flash")
    assert found["of a whole generation"] == (pytest.approx(share), verdict)


@pytest.mark.parametrize(("share", "verdict"), [(0.42, "not run"), (0.20, "not run"), (0.70, "differs")])
def test_an_up_to_is_not_borne_out_by_some_of_its_models(tmp_path: Path, share: float, verdict: str) -> None:
    save_shares(tmp_path, stable_diffusion=share, prod_image=0.1)
    assert judged(tmp_path, "conv_share_diffusion_after_flash")["of a whole generation"][1] == verdict
    frame = assessed(load(tmp_path))
    why = frame.loc[frame["claim"] == "conv_share_diffusion_after_flash", "why"].iloc[0]
    assert "2 of 3 models; missing: imagen" in why
    assert ("where it may be larger" in why) == (verdict == "not run")
    assert f"stable_diffusion {share:.0%}".replace("%", " %") in why  # what is known so far
    said = [sentence for sentence in contradictions(load(tmp_path)) if "convolution takes" in sentence]
    assert len(said) == (verdict == "differs")
    assert all(sentence.endswith("missing: imagen.") for sentence in said)


def test_models_that_a_claim_is_not_about_say_nothing_of_it(tmp_path: Path) -> None:
    save_shares(tmp_path, stable_diffusion=0.42, prod_image=0.1, imagen=0.05, pixart=0.9)
    found = judged(tmp_path, "conv_share_diffusion_after_flash")
    assert found["of a whole generation"] == (pytest.approx(0.42), "agrees")
    alone = tmp_path / "alone"
    save_shares(alone, pixart=0.9)
    assert assessed(load(alone)).empty


def test_steps_alone_leave_decoding_out(tmp_path: Path) -> None:
    rows = [operator("convolution", 1.0), operator("linear", 3.0), operator("convolution", 4.0, stage="decode")]
    save_run(tmp_path, "stable_diffusion", request=SD, operators=rows)
    found = judged(tmp_path, "conv_share_diffusion_after_flash")
    assert found["of a whole generation"][0] == pytest.approx(5 / 8)
    assert found["of its steps alone"][0] == pytest.approx(1 / 4)


def test_projections_are_read_both_ways(tmp_path: Path) -> None:
    rows = [
        operator("linear", 0.48),
        operator("linear", 0.3, kind="spatial", part="projection"),
        operator("attention", 0.22),
    ]
    save_run(tmp_path, "muse", family="transformer_masked", request=SD, operators=rows)
    found = judged(tmp_path, "linear_share_transformer_after_flash")
    assert found["projections are linear layers"] == (pytest.approx(0.78), "differs")
    assert found["projections are attention"] == (pytest.approx(0.48), "not run")
    rows = [operator("linear", 0.2), operator("attention", 0.8)]
    save_run(tmp_path, "parti", family="transformer_autoregressive", request=LARGE, operators=rows)
    save_run(tmp_path, "phenaki", family="transformer_masked", media="video", request=PHENAKI, operators=rows)
    found = judged(tmp_path, "linear_share_transformer_after_flash")
    assert found["projections are linear layers"] == (pytest.approx(0.78), "differs")
    assert found["projections are attention"] == (pytest.approx(0.48), "agrees")


@pytest.mark.parametrize(("slow", "verdict"), [(6.0, "agrees"), (20.0, "differs")])
@pytest.mark.parametrize("is_whole", [True, False])
def test_gains_of_flash_attention_are_divided(tmp_path: Path, slow: float, verdict: str, is_whole: bool) -> None:
    stacks = (("baseline_attention", slow, 3.0), ("eager_attention", 4.0, 2.0), ("flash_attention", 1.0, 1.0))
    others = {"imagen": LARGE, "prod_image": LARGE} if is_whole else {}
    more = {"parti": LARGE} if is_whole else {}
    for stack, diffusion, transformer in stacks:
        rows = [operator("attention", diffusion, kind="spatial", part="core"), operator("linear", 1.0)]
        for workload, request in {"stable_diffusion": SD, **others}.items():
            save_run(tmp_path, workload, (stack,), request=request, operators=rows)
        rows = [operator("attention", transformer, kind="joint", part="core"), operator("linear", 1.0)]
        for workload, request in {"muse": SD, **more}.items():
            save_run(tmp_path, workload, (stack,), family="transformer_masked", request=request, operators=rows)
    found = judged(tmp_path, "flash_gain_diffusion_over_transformer")
    if not is_whole:
        verdict = "not run" if verdict == "agrees" else verdict
        assert found["attention core, over math attention"] == (pytest.approx([slow / 3] * 2), verdict)
        return
    assert found["attention core, over math attention"] == (pytest.approx([slow / 3] * 2), verdict)
    assert found["attention core, over attention written out"] == (pytest.approx([2.0, 2.0]), "agrees")
    assert found["of a whole generation, over math attention"][0] == pytest.approx([(slow + 1) / 2 / 2] * 2)


def test_sequence_lengths_are_read_three_ways(tmp_path: Path) -> None:
    calls = [
        call(f"denoiser.{n}", "spatial", length) for n, length in enumerate((4096, 1024, 256, 64, 256, 1024, 4096))
    ]
    calls.append(call("denoiser.x", "cross", 4096, 77))
    save_run(tmp_path, "stable_diffusion", request=SD, attention=calls, operators=[operator("linear", 1.0)])
    assert judged(tmp_path, "sequence_length_variation") == {
        "longest over shortest call": (64.0, "differs"),
        "the same, without the innermost block": (16.0, "differs"),
        "between neighbouring levels of the U-Net": (4.0, "agrees"),
    }


@pytest.mark.parametrize(("temporal", "share", "times"), [(2.0, "agrees", "agrees"), (0.5, "differs", "differs")])
def test_temporal_attention_beside_spatial(tmp_path: Path, temporal: float, share: str, times: str) -> None:
    rows = [
        operator("attention", temporal, 100, kind="temporal", part="core"),
        operator("attention", 1.0, 900, kind="spatial", part="core"),
        operator("linear", 0.1, 500, kind="temporal", part="projection"),
        operator("linear", 0.1, 500, kind="spatial", part="projection"),
    ]
    save_run(tmp_path, "make_a_video", family="diffusion_pixel", media="video", request=MAV, operators=rows)
    core = "flash_attention, core only, of all attention"
    own = pytest.approx(temporal / (temporal + 1))
    alone = "differs" if share == "differs" else "not run"
    assert judged(tmp_path, "temporal_share_of_attention")[core] == (own, alone)
    rows = [
        operator("attention", seconds, kind=kind, part="core") for kind, seconds in (("temporal", 9), ("spatial", 1))
    ]
    save_run(tmp_path, "phenaki", family="transformer_masked", media="video", request=PHENAKI, operators=rows)
    assert judged(tmp_path, "temporal_share_of_attention")[core] == (own, share)  # the least share speaks
    assert judged(tmp_path, "temporal_over_spatial_time")["flash_attention, core only"] == (temporal, times)
    flops = judged(tmp_path, "spatial_over_temporal_flops")
    assert flops["core only"] == (9.0, "agrees")
    assert flops["with projections"] == (pytest.approx(1400 / 600), "differs")


def sweep(folder: Path, attention_power: int) -> None:
    for side in (64, 128, 256, 512, 1024):
        rows = [
            operator("attention", 1.0, side**attention_power, kind="spatial", part="core"),
            operator("convolution", 1.0, 300**2 * side**2),
        ]
        calls = [call("denoiser.a", "spatial", (side // 8) ** 2), call("denoiser.b", "cross", (side // 8) ** 2, 77)]
        save_run(folder, "stable_diffusion", request={"height": side, "width": side}, operators=rows, attention=calls)


def test_a_contradicted_growth_tells_where_attention_overtakes(tmp_path: Path) -> None:
    sweep(tmp_path, 4)
    found = judged(tmp_path, "convolution_steeper_than_attention_after_flash")
    assert found["FLOPs, 64 to 512 px"] == (pytest.approx(-2), "differs")
    frame = assessed(load(tmp_path))
    why = frame.loc[frame["reading"] == "FLOPs, 64 to 1,024 px", "why"].iloc[0]
    assert "attention overtakes convolution at 300 px" in why
    scores = judged(tmp_path, "similarity_memory_exponent")
    assert scores["self-attention"] == (pytest.approx(4), "agrees")
    assert scores["self- and cross-attention"][0] < 4


def test_a_growth_that_agrees(tmp_path: Path) -> None:
    sweep(tmp_path, 1)
    found = judged(tmp_path, "convolution_steeper_than_attention_after_flash")
    assert found["FLOPs, 64 to 1,024 px"] == (pytest.approx(1), "agrees")


@pytest.mark.parametrize(("power", "verdict"), [(2, "agrees"), (1, "differs")])
def test_temporal_flops_over_frames(tmp_path: Path, power: int, verdict: str) -> None:
    for frames in (4, 8, 16):
        rows = [operator("attention", 1.0, 7 * frames**power, kind="temporal", part="core")]
        request = {"height": 256, "width": 256, "num_frames": frames}
        save_run(tmp_path, "animatediff", media="video", request=request, operators=rows)
    found = judged(tmp_path, "temporal_flops_exponent_in_frames")
    assert found["attention core, 256 px"] == (pytest.approx(power), verdict)


def test_arithmetic_intensity_is_over_that_of_llama(tmp_path: Path) -> None:
    parts = {"denoiser": Part(class_name="X", num_parameters=5, weight_bytes=10)}
    rows = [operator("convolution", 1.0, 8000, moved=100)]
    save_run(tmp_path, "stable_diffusion", request=SD, operators=rows, parts=parts)
    rows = [operator("linear", 1.0, 100, moved=50)]
    save_run(tmp_path, "llama", family="language", media="text", operators=rows, parts=parts)
    found = judged(tmp_path, "arithmetic_intensity_over_llm")
    words = "FLOPs of a generation over bytes of all weights", "FLOPs over bytes moved"
    assert found == {words[0]: (pytest.approx(80), "not run"), words[1]: (pytest.approx(40), "not run")}
    for workload in ("imagen", "prod_image"):
        rows = [operator("convolution", 1.0, 100, moved=100)]
        save_run(tmp_path, workload, request=LARGE, operators=rows, parts=parts)
    found = judged(tmp_path, "arithmetic_intensity_over_llm")
    assert found == {words[0]: (pytest.approx(80), "agrees"), words[1]: (pytest.approx(40), "differs")}


@pytest.mark.parametrize(("before", "verdict"), [(1.7, "agrees"), (5.0, "differs")])
def test_end_to_end_speedup_of_estimates(tmp_path: Path, before: float, verdict: str) -> None:
    for stack, seconds in (("baseline_attention", before), ("eager_attention", 1.65), ("flash_attention", 1.0)):
        save_run(tmp_path, "stable_diffusion", (stack,), request=SD, operators=[operator("attention", seconds)])
    assert judged(tmp_path, "flash_end_to_end_speedup", "stable_diffusion") == {
        "over math attention": (pytest.approx(before), verdict),
        "over attention written out": (pytest.approx(1.65), "agrees"),
    }
    assert judged(tmp_path, "flash_end_to_end_speedup", "imagen") == {}


@pytest.mark.parametrize(("before", "verdict"), [(1.7, "agrees"), (2.4, "differs")])
def test_a_measured_speedup_is_paired_and_has_an_interval(tmp_path: Path, before: float, verdict: str) -> None:
    drift = [1.0, 1.3, 0.8, 1.1, 1.0, 0.9]
    samples = trials(drift) + trials([before * value for value in drift], "reference")
    for stack in ("baseline_attention", "flash_attention"):
        save_run(
            tmp_path,
            "stable_diffusion",
            (stack,),
            request=SD,
            samples=samples,
            reference="baseline_attention",
            gpu="GPU",
        )
    frame = assessed(load(tmp_path))
    (row,) = frame[frame["claim"] == "flash_end_to_end_speedup"].to_dict("records")
    assert (row["our_value"], row["verdict"], row["basis"]) == (pytest.approx(before), verdict, "measured")
    assert row["low"] <= before <= row["high"]


def test_runs_of_another_request_or_scale_say_nothing_of_a_claim(tmp_path: Path) -> None:
    rows = [operator("convolution", 0.42), operator("linear", 0.58)]
    save_run(tmp_path, "stable_diffusion", request={"height": 256, "width": 256}, operators=rows)
    save_run(tmp_path, "stable_diffusion", request=SD, operators=rows, scale="smoke")
    assert assessed(load(tmp_path)).empty
