"""Weights in 8 bits: as few bytes as the counted parameters say, put back bit for bit, and the peaks of a real run simulated.

Names for the mirror: suite.optimizations.layerwise_casting, suite.optimizations.hook_traces.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers.hooks import HookRegistry, ModelHook
from optimizations.live_bytes import peak_bytes
from torch import nn

from suite.errors import ConfigError
from suite.optimizations.hook_traces import hook_names, traces
from suite.optimizations.layerwise_casting import LayerwiseCasting
from suite.simulation.generation import simulate
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


@pytest.mark.parametrize("replaying", [True, False])
def test_a_simulation_sees_weights_come_and_go(replaying: bool, experiment: Callable) -> None:
    """What casting adds to activations at the peak of a step is what live tensors of real calls add up to."""
    run = experiment("workload=flux", "request.num_inference_steps=3")
    workload = run.make_workload()
    denoiser, calls = workload.parts["denoiser"], []
    hook = denoiser.register_forward_pre_hook(
        lambda module, args, kwargs: calls.append((args, kwargs)), with_kwargs=True
    )
    workload.generate()
    hook.remove()

    def twice() -> None:
        for args, kwargs in calls[:2]:
            denoiser(*args, **kwargs)

    plain = peak_bytes(twice)
    CASTING.apply(workload)
    narrow = sum(weight.numel() for weight in denoiser.parameters() if weight.dtype == torch.float8_e4m3fn)
    beside = peak_bytes(twice) - narrow  # the weights that the first call has left are tensors that it made
    found = [simulated(run, stack, replaying=replaying) for stack in ([], [CASTING])]
    assert found[1].memory_peaks.column("weights_bytes")[0].as_py() == storage_bytes(workload.parts.values())
    before, after = (denoise_activations(one.memory_peaks) for one in found)
    assert after - before == beside - plain > 0
    casts = [row for row in found[1].operators.to_pylist() if row["operator"] == "aten::_to_copy"]
    assert sum(row["bytes_read"] for row in casts if row["precision"] == "float8_e4m3fn") == 3 * narrow


def simulated(run: Any, stack: list[Any], *, replaying: bool) -> Any:
    workload = run.make_workload(replace(run.placement, device="meta"))
    for optimization in stack:
        optimization.apply(workload)
    return simulate(workload, replaying=replaying)


def denoise_activations(peaks: Any) -> int:
    return next(row["activations_bytes"] for row in peaks.to_pylist() if row["stage"] == "denoise_step")


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
