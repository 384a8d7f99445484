"""Models that take turns: peaks and copies are closed forms of the run without; accelerate's hooks leave nothing behind.

Names for the mirror: suite.optimizations.model_cpu_offload, suite.optimizations.offloading.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from optimizations.offloaded import attributes, copied, num_bytes, on_gpu, peaks, simulated

from suite.offload import Offload, planned_host_memory
from suite.optimizations.contract import Handle
from suite.optimizations.model_cpu_offload import ModelCpuOffload, put_on, residents
from suite.workload import NotApplicableError, UnsupportedError

STEPS = "request.num_inference_steps=3"
OFFLOAD = ModelCpuOffload()
LINK = ("Memcpy HtoD", "Memcpy DtoH")


def level_before(found: Any, stage: str) -> int:
    """Bytes that were allocated when a stage began."""
    rows = found.memory.to_pylist()
    first = next(index for index, row in enumerate(rows) if row["stage"] == stage)
    return rows[first - 1]["allocated_bytes"]


@pytest.mark.parametrize("name", ["stable_diffusion", "cogvideox", "wan"])
@pytest.mark.parametrize("replaying", [True, False])
def test_a_stages_peak_is_its_own_model_beside_what_lives_across(
    name: str, replaying: bool, experiment: Callable
) -> None:
    """Without offloading, everything beside all weights; with it, the same beside the weights of the model that is there."""
    words = (f"workload={name}", STEPS)
    plain = simulated(experiment, [], *words, replaying=replaying)
    found = peaks(simulated(experiment, [OFFLOAD], *words, replaying=replaying))
    _, workload = on_gpu(experiment, *words)
    weights = {part: num_bytes(module) for part, module in workload.parts.items()}
    whole = sum(weights.values())
    beside = {stage: peak - whole for stage, peak in peaks(plain).items()}
    began = {stage: level_before(plain, stage) - whole for stage in ("denoise_step", "decode")}
    expected = {
        "text_encode": weights["text_encoder"] + beside["text_encode"],
        "denoise_step": max(
            weights["denoiser"] + beside["denoise_step"], weights["text_encoder"] + began["denoise_step"]
        ),
        "decode": max(weights["decoder"] + beside["decode"], weights["denoiser"] + began["decode"]),
    }
    expected["generate"] = max(expected.values())
    assert found == expected
    assert found["generate"] < peaks(plain)["generate"]


@pytest.mark.parametrize("name", ["stable_diffusion", "flux", "parti", "muse"])
def test_every_model_comes_once_and_goes_once(name: str, experiment: Callable) -> None:
    words = (
        f"workload={name}",
        *([STEPS] if name in ("stable_diffusion", "flux") else ["request.height=64", "request.width=64"]),
    )
    found = simulated(experiment, [OFFLOAD], *words)
    _, workload = on_gpu(experiment, *words)
    assert copied(found) == dict.fromkeys(LINK, num_bytes(*workload.parts.values()))
    stages = {
        (row["operator"], row["stage"], row["step"])
        for row in found.operators.to_pylist()
        if row["operator"] in LINK
    }  # fmt: skip
    assert ("Memcpy HtoD", "text_encode", None) in stages
    assert ("Memcpy DtoH", "generate", None) in stages, "the last goes when the generation ends"
    assert found.memory.column("allocated_bytes")[-1].as_py() < num_bytes(workload.parts["decoder"]) + 2**20
    assert set(found.memory_peaks.column("weights_bytes").to_pylist()) == {None}


def test_who_is_called_out_of_turn_stays(experiment: Callable) -> None:
    """Stable Video Diffusion encodes its image with the VAE, which nobody in the order sends away: it is copied once."""
    words = ("workload=stable_video_diffusion", STEPS)
    found = simulated(experiment, [OFFLOAD], *words)
    _, workload = on_gpu(experiment, *words)
    assert copied(found) == dict.fromkeys(LINK, num_bytes(*workload.parts.values()))
    rows = [row for row in found.operators.to_pylist() if row["operator"] in LINK and row["stage"] == "decode"]
    assert {row["operator"] for row in rows} == {"Memcpy DtoH"}, "the denoiser goes, and the VAE is there"
    assert sum(row["bytes_read"] for row in rows) == num_bytes(workload.parts["denoiser"])


def test_all_weights_wait_in_pageable_host_memory(experiment: Callable) -> None:
    _, workload = on_gpu(experiment, "workload=flux")
    handle = OFFLOAD.apply(workload)
    assert workload.offload is not None
    waiting = planned_host_memory(workload.offload)
    assert (waiting.weights_bytes, waiting.pinned_bytes) == (num_bytes(*workload.parts.values()), 0)
    assert f"denoiser {num_bytes(workload.parts['denoiser']):,}" in handle.changes
    handle.revert()
    assert workload.offload is None


def test_a_record_tells_what_waits_on_the_host(experiment: Callable, tmp_path: Path) -> None:
    words = ("execution=simulate", "device.name=cuda", STEPS, f"output_dir={tmp_path}")
    for optimization in ("model_cpu_offload", "group_offload", "sequential_cpu_offload", "[]"):
        record = experiment(*words, f"optimization={optimization}").run(lambda message: None)
        assert record.outcome.status == "ok"
        waiting = record.arms[0].host_memory
        if optimization == "[]":
            assert waiting is None
            continue
        assert waiting is not None
        assert (
            0
            <= waiting.pinned_bytes
            <= waiting.weights_bytes
            <= sum(part.weight_bytes for part in record.workload.parts.values())
        )
        assert (waiting.pinned_bytes > 0) == (optimization == "group_offload")


def test_two_ways_at_once_are_an_outcome(experiment: Callable, tmp_path: Path) -> None:
    words = ("execution=simulate", "device.name=cuda", STEPS, f"output_dir={tmp_path}")
    record = experiment(*words, "optimization=[model_cpu_offload,group_offload]").run(lambda message: None)
    assert record.outcome.status == "unsupported"
    assert record.outcome.reason == "group_offload: model_cpu_offload moves this workload's weights already"


@pytest.mark.parametrize("name", ["stable_diffusion", "flux", "imagen", "parti", "muse", "make_a_video"])
def test_the_libraries_hooks_change_no_bit_and_leave_nothing(name: str, experiment: Callable) -> None:
    """With the host as the device they move nothing, but they are put on, called and taken off all the same."""
    steps = [STEPS] if name in ("stable_diffusion", "flux") else []
    workload = experiment(f"workload={name}", *steps).make_workload()
    expected = workload.generate()
    before = [attributes(part) for part in workload.parts.values()]
    held = [list(part.parameters()) for part in workload.parts.values()]
    pipeline = vars(getattr(workload, "pipeline", workload)).keys() | set()
    handle = Handle("")
    put_on(workload, Offload("", residents=residents(workload)), "cpu", handle)
    hooked = [module for part in workload.parts.values() for module in part.modules() if hasattr(module, "_hf_hook")]
    assert len(hooked) == len(residents(workload))
    assert torch.equal(workload.generate(), expected)
    assert torch.equal(workload.generate(), expected)
    handle.revert()
    assert [attributes(part) for part in workload.parts.values()] == before
    assert all(
        one is other for old, part in zip(held, workload.parts.values(), strict=True)
        for one, other in zip(old, part.parameters(), strict=True)
    )  # fmt: skip
    assert vars(getattr(workload, "pipeline", workload)).keys() | set() == pipeline
    assert torch.equal(workload.generate(), expected)


def test_what_cannot_take_turns_says_why(experiment: Callable, smoke_workload: Callable) -> None:
    with pytest.raises(NotApplicableError, match=r"in host memory already \(device=cpu\)"):
        OFFLOAD.apply(smoke_workload("stable_diffusion"))
    _, alone = on_gpu(experiment, "workload=llama")
    with pytest.raises(NotApplicableError, match="a single model"):
        OFFLOAD.apply(alone)
    _, workload = on_gpu(experiment)
    OFFLOAD.apply(workload)
    with pytest.raises(UnsupportedError, match="model_cpu_offload moves this workload's weights already"):
        OFFLOAD.apply(workload)
    _, workload = on_gpu(experiment)
    workload.parts["denoiser"]._compiled_call_impl = lambda: None
    with pytest.raises(UnsupportedError, match="torch_compile goes after"):
        OFFLOAD.apply(workload)
    _, workload = on_gpu(experiment)
    workload.pipeline.model_cpu_offload_seq = None
    with pytest.raises(NotApplicableError, match="StableDiffusionPipeline names no order"):
        OFFLOAD.apply(workload)
