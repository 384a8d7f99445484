"""Weights that come module by module: bytes are weights by calls, and accelerate's hooks leave nothing behind."""

from __future__ import annotations

from collections.abc import Callable

import accelerate
import pytest
import torch
from optimizations.offloaded import attributes, copied, num_bytes, on_gpu, peaks, simulated

from suite.offload import measured_host_memory, planned_host_memory
from suite.optimizations.contract import Handle
from suite.optimizations.sequential_cpu_offload import SequentialCpuOffload, put_on
from suite.workload import NotApplicableError

STEPS = "request.num_inference_steps=3"
OFFLOAD = SequentialCpuOffload()


def parameter_bytes(module: torch.nn.Module) -> int:
    """Buffers stay on the device: no part here has parameters of its own at its top."""
    return sum(one.numel() * one.element_size() for one in module.parameters())


@pytest.mark.parametrize("name", ["flux", "stable_diffusion"])
def test_every_weight_comes_in_every_step_and_none_goes_back(name: str, experiment: Callable) -> None:
    words = (f"workload={name}", STEPS)
    found = simulated(experiment, [OFFLOAD], *words)
    _, workload = on_gpu(experiment, *words)
    denoiser = workload.parts["denoiser"]
    assert set(copied(found)) == {"Memcpy HtoD"}, "the host keeps what it has"
    rows = [row for row in found.operators.to_pylist() if row["operator"] == "Memcpy HtoD"]
    for step in range(3):
        assert sum(row["bytes_read"] for row in rows if row["step"] == step) == parameter_bytes(denoiser)
    called = {row["module"] for row in rows if row["stage"] == "denoise_step"}
    assert called, "a copy counts for the module that it is made for"
    assert all(path.startswith("denoiser") for path in called)


@pytest.mark.parametrize("replaying", [True, False])
def test_one_modules_weights_are_there_at_a_time(replaying: bool, experiment: Callable) -> None:
    words = ("workload=flux", STEPS)
    plain = peaks(simulated(experiment, [], *words))
    found = peaks(simulated(experiment, [OFFLOAD], *words, replaying=replaying))
    _, workload = on_gpu(experiment, *words)
    whole = num_bytes(*workload.parts.values())
    largest = max(
        sum(one.numel() * one.element_size() for one in module.parameters(recurse=False))
        for module in workload.parts["denoiser"].modules()
    )
    buffers = whole - sum(map(parameter_bytes, workload.parts.values()))
    beside = plain["denoise_step"] - whole
    assert buffers + largest < found["denoise_step"] <= buffers + largest + beside


@pytest.mark.parametrize("name", ["stable_diffusion", "flux", "wan", "imagen", "llama"])
def test_the_libraries_hooks_change_no_bit_and_leave_nothing(
    name: str, experiment: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the host as the device: placeholders take the weights' places between calls, as on a GPU."""
    offload = accelerate.cpu_offload
    monkeypatch.setattr(  # a pipeline asks for cpu:0, which torch tells from the cpu where weights are
        accelerate, "cpu_offload", lambda model, device, **others: offload(model, torch.device("cpu"), **others)
    )
    steps = [STEPS] if name in ("stable_diffusion", "flux", "wan") else []
    workload = experiment(f"workload={name}", *steps).make_workload()
    expected = workload.generate()
    before = [attributes(part) for part in workload.parts.values()]
    held = [list(part.parameters()) for part in workload.parts.values()]
    whole = num_bytes(*workload.parts.values())
    handle = Handle("")
    put_on(workload, "cpu", handle)
    assert all(weight.is_meta for part in workload.parts.values() for weight in part.parameters())
    assert measured_host_memory(workload).weights_bytes == whole
    assert torch.equal(torch.as_tensor(workload.generate()), torch.as_tensor(expected))
    handle.revert()
    assert [attributes(part) for part in workload.parts.values()] == before
    assert all(
        one is other for old, part in zip(held, workload.parts.values(), strict=True)
        for one, other in zip(old, part.parameters(), strict=True)
    )  # fmt: skip
    assert torch.equal(torch.as_tensor(workload.generate()), torch.as_tensor(expected))


def test_the_host_keeps_all_of_it_in_pageable_memory(experiment: Callable, smoke_workload: Callable) -> None:
    _, workload = on_gpu(experiment, "workload=flux")
    handle = OFFLOAD.apply(workload)
    assert workload.offload is not None
    waiting = planned_host_memory(workload.offload)
    assert waiting.weights_bytes == sum(map(parameter_bytes, workload.parts.values()))
    assert waiting.pinned_bytes == 0
    shared = num_bytes(
        workload.parts["text_encoder"]["text_encoder_2"].shared
    )  # two modules hold it: it comes for each
    assert f"{waiting.weights_bytes + shared:,} bytes" in handle.changes
    handle.revert()
    _, own = on_gpu(experiment, "workload=parti")
    with pytest.raises(NotApplicableError, match="ImageTokenDecoder is no model of diffusers or transformers"):
        OFFLOAD.apply(own)
    with pytest.raises(NotApplicableError, match="in host memory already"):
        OFFLOAD.apply(smoke_workload("flux"))
