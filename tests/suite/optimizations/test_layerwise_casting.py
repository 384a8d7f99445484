"""Weights in 8 bits: as few bytes as the counted parameters say, put back bit for bit, and the peaks of a real run simulated.

Names for the mirror: suite.optimizations.layerwise_casting, suite.optimizations.hook_traces.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.hooks import HookRegistry, ModelHook
from torch import nn

from suite.errors import ConfigError
from suite.optimizations.hook_traces import hook_names, traces
from suite.optimizations.layerwise_casting import LayerwiseCasting
from suite.probes.memory import Memory
from suite.simulation.generation import simulate
from suite.subject import Subject
from suite.workload import NotApplicableError, storage_bytes

CASTING = LayerwiseCasting(["denoiser"], "float8_e4m3fn")
LAYERS = (nn.Linear, nn.Conv2d, nn.Embedding)


def attributes(model: nn.Module) -> list[set[str]]:
    return [set(vars(module)) for module in model.modules()]


def castable_elements(model: nn.Module) -> int:
    """Of the layers that diffusers' documentation names, less norms, embeddings of position and first and last projections."""
    skipped = ("pos_embed", "patch_embed", "norm")
    return sum(
        weight.numel()
        for name, module in model.named_modules()
        if isinstance(module, LAYERS) and not any(word in name for word in skipped)
        if name not in ("proj_in", "proj_out")
        for weight in module.parameters()
    )


@pytest.mark.parametrize("name", ["stable_diffusion", "flux", "wan"])
def test_weights_wait_in_a_byte_each_and_come_back_bit_for_bit(name: str, experiment: Callable) -> None:
    workload = experiment(f"workload={name}", "request.num_inference_steps=2").make_workload()
    denoiser = workload.parts["denoiser"]
    expected, before, kept = workload.generate(), attributes(denoiser), {}
    kept = {key: value.clone() for key, value in denoiser.state_dict().items()}
    whole, kept_wide = storage_bytes([denoiser]), set(getattr(denoiser, "_keep_in_fp32_modules", None) or ())
    handle = CASTING.apply(workload)
    elements = castable_elements(denoiser) if not kept_wide else None
    narrow = sum(weight.numel() for weight in denoiser.parameters() if weight.dtype == torch.float8_e4m3fn)
    assert elements is None or narrow == elements
    assert storage_bytes([denoiser]) == whole - 3 * narrow
    assert f"{storage_bytes([denoiser]):,} bytes of weights, not {whole:,}" in handle.changes
    first = workload.generate()
    assert not torch.equal(first, expected)
    assert torch.equal(workload.generate(), first), "rounding what is rounded changes nothing"
    with pytest.raises(NotApplicableError, match="cast layer by layer already"):
        CASTING.apply(workload)
    handle.revert()
    assert attributes(denoiser) == before
    assert all(torch.equal(value, kept[key]) for key, value in denoiser.state_dict().items())
    assert torch.equal(workload.generate(), expected)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["stable_diffusion", "flux"])
def test_simulated_peaks_are_measured_ones(name: str, experiment: Callable, tmp_path: Path) -> None:
    """The profiler does not see most of the weights go that were there before it, all of which are exchanged in the first step.

    Those that it does see, by an address that it had seen before, are less than a hundredth; all of them would be a tenth.
    """
    run = experiment(f"workload={name}", "request.num_inference_steps=3")
    workload = run.make_workload()
    with Subject(workload, {"stack": {"casting": CASTING}}, run.protocol, tmp_path).configured("stack"):
        narrow = sum(
            weight.numel() for weight in workload.parts["denoiser"].parameters() if weight.dtype == torch.float8_e4m3fn
        )
    subject = Subject(workload, {"stack": {"casting": CASTING}}, run.protocol, tmp_path)
    measured = denoise_peak(Memory().observe(subject).tables["memory_peaks"]) - narrow
    for replaying in (True, False):
        fake = run.make_workload(replace(run.placement, device="meta"))
        CASTING.apply(fake)
        found = simulate(fake, replaying=replaying)
        assert denoise_peak(found.memory_peaks) == pytest.approx(measured, rel=0.01)
        casts = [row for row in found.operators.to_pylist() if row["operator"] == "aten::_to_copy"]
        read = sum(row["bytes_read"] for row in casts if row["precision"] == "float8_e4m3fn")
        assert read >= 3 * narrow, "every weight is widened in every step"


def denoise_peak(peaks: Any) -> int:
    return next(row["allocated_bytes"] for row in peaks.to_pylist() if row["stage"] == "denoise_step")


def test_what_cannot_be_cast_says_why(smoke_workload: Callable) -> None:
    with pytest.raises(NotApplicableError, match="no layerwise casting for a"):
        CASTING.apply(smoke_workload("parti"))
    with pytest.raises(NotApplicableError, match="has no super_resolution"):
        LayerwiseCasting(["super_resolution"], "float8_e5m2").apply(smoke_workload("stable_diffusion"))
    with pytest.raises(ConfigError, match="storage=int8: one of float8_e4m3fn, float8_e5m2"):
        LayerwiseCasting(["denoiser"], "int8")
    with pytest.raises(ConfigError, match="parts=unet: of text_encoder, denoiser"):
        LayerwiseCasting(["unet"], "float8_e4m3fn")


def test_others_hooks_stay_where_they_are() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    HookRegistry.check_if_exists_or_initialize(model[0]).register_hook(ModelHook(), "theirs")
    theirs, before = model[0].forward, attributes(model)
    undo = traces(model)
    for layer in model:
        HookRegistry.check_if_exists_or_initialize(layer).register_hook(ModelHook(), "ours")
    assert hook_names(model[0]) == ["theirs", "ours"]
    undo()
    assert attributes(model) == before
    assert hook_names(model[0]) == ["theirs"]
    assert model[0].forward is theirs
