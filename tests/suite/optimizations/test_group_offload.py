"""Layers that come group by group: what a simulation moves, and when, is what diffusers' own hooks do.

Names for the mirror: suite.optimizations.group_offload, suite.simulation.offloading, suite.offload.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers.hooks import group_offloading
from optimizations.offloaded import attributes, copied, num_bytes, on_gpu, peaks, simulated
from torch import nn

from suite.errors import ConfigError
from suite.offload import measured_host_memory, planned_host_memory
from suite.optimizations.contract import Handle
from suite.optimizations.group_offload import GroupOffload
from suite.optimizations.offloading import park
from suite.workload import NotApplicableError

HTOD, DTOH, OVERLAPPED = "Memcpy HtoD", "Memcpy DtoH", "Memcpy HtoD (own stream)"
STEPS = "request.num_inference_steps=4"


def group_offload(level: str = "block_level", *, blocks: int = 1, stream: bool = False, **changed: Any) -> GroupOffload:
    usual = {"parts": ["denoiser"], "record_stream": False, "non_blocking": False, "low_cpu_mem_usage": False}
    return GroupOffload(
        **usual | {"offload_type": level, "num_blocks_per_group": blocks, "use_stream": stream} | changed
    )


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What diffusers' groups do, in order: operator and bytes. Streams and pinned memory are stood in for on the CPU."""
    happened: list[tuple[str, int]] = []
    stub = SimpleNamespace(
        Stream=lambda: SimpleNamespace(synchronize=lambda: None),
        stream=lambda stream: nullcontext(),
        current_stream=lambda: SimpleNamespace(synchronize=lambda: None),
    )
    monkeypatch.setattr(group_offloading, "TorchDeviceBackend", lambda device: stub)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    monkeypatch.setattr(torch.Tensor, "is_pinned", lambda tensor: True)
    computing: list[Any] = []
    group, hook = group_offloading.ModuleGroup, group_offloading.GroupOffloadingHook
    onload, offload, before = group.onload_, group.offload_, hook.pre_forward

    sizes: dict[Any, int] = {}  # as they are at first: later diffusers copies buffers that it has exchanged, too

    def size(one: Any) -> int:
        if one in sizes:
            return sizes[one]
        tensors = [*one.parameters, *one.buffers]
        tensors += [held for module in one.modules for held in (*module.parameters(), *module.buffers())]
        sizes[one] = sum({id(held): held.numel() * held.element_size() for held in tensors}.values())
        return sizes[one]

    def onloaded(one: Any) -> None:
        ahead = computing and computing[-1] is not one
        happened.append((OVERLAPPED if ahead else HTOD, size(one)))
        onload(one)

    def offloaded(one: Any) -> None:
        if one.stream is None:
            happened.append((DTOH, size(one)))
        offload(one)

    def entered(one: Any, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        computing.append(one.group)
        try:
            return before(one, module, *args, **kwargs)
        finally:
            computing.pop()

    monkeypatch.setattr(group, "onload_", onloaded)
    monkeypatch.setattr(group, "offload_", offloaded)
    monkeypatch.setattr(hook, "pre_forward", entered)
    return happened


CASES = [
    group_offload(),
    group_offload(blocks=2),
    group_offload("leaf_level"),
    group_offload(stream=True),
    group_offload("leaf_level", stream=True),
]


@pytest.mark.parametrize("optimization", CASES, ids=["block", "two blocks", "leaf", "block stream", "leaf stream"])
@pytest.mark.parametrize("name", ["flux", "stable_diffusion"])
def test_what_is_copied_is_what_diffusers_hooks_copy(
    optimization: GroupOffload, name: str, experiment: Callable, log: list[tuple[str, int]]
) -> None:
    """Bytes by operator and step, of diffusers' hooks as they run on values and of a simulation."""
    words = (f"workload={name}", STEPS)
    _, fake = on_gpu(experiment, *words)
    workload = experiment(*words, "device.precision=bfloat16").make_workload()
    denoiser = workload.parts["denoiser"]
    plan = optimization.visitors(denoiser)
    log.clear()
    if optimization.use_stream:  # refused on a CPU, where there is none
        apply_with_stream(denoiser, optimization)
    else:
        optimization.put_on(denoiser, "cpu")
    log.clear()
    by_step: list[dict[str, int]] = []
    denoiser.register_forward_hook(lambda module, args, output: by_step.append(sums(log)))
    workload.generate()
    assert len(by_step) == fake.request.num_inference_steps
    found = simulated(experiment, [optimization], *words)
    rows = [row for row in found.operators.to_pylist() if row["operator"] in (HTOD, DTOH, OVERLAPPED)]
    for step, expected in enumerate(by_step):
        assert sums([(row["operator"], row["bytes_read"]) for row in rows if row["step"] == step]) == expected
    moved = num_bytes(denoiser)
    assert sum(visitor.group.num_bytes for visitor in plan) == moved, "every weight is in one group"
    into = {step: sum(size for key, size in one.items() if key != DTOH) for step, one in enumerate(by_step)}
    assert set(into.values()) == {moved}, "every weight comes once a step"
    if optimization.use_stream:
        assert OVERLAPPED not in by_step[0], "nobody knows the order before the first call has ended"
        assert by_step[1][OVERLAPPED] > moved / 2


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("name", ["stable_diffusion", "wan"])
def test_so_is_what_encoders_and_decoders_copy(
    name: str, stream: bool, experiment: Callable, log: list[tuple[str, int]]
) -> None:
    """A decoder's blocks have a root of their own, whose first call is the last: their copies are waited for."""
    optimization = group_offload(stream=stream, parts=["text_encoder", "decoder"])
    words = (f"workload={name}", STEPS)
    workload = experiment(*words, "device.precision=bfloat16").make_workload()
    for part in optimization.parts:
        model = workload.parts[part]
        if stream:
            apply_with_stream(model, optimization)
        else:
            optimization.put_on(model, "cpu")
    log.clear()
    workload.generate()
    expected = sums(log)
    assert copied(simulated(experiment, [optimization], *words)) == expected
    assert expected[HTOD] >= num_bytes(workload.parts["text_encoder"])


def apply_with_stream(model: nn.Module, optimization: GroupOffload) -> None:
    """As `put_on`, past diffusers' refusal of streams on a CPU."""
    group_offloading._apply_group_offloading(
        model,
        group_offloading.GroupOffloadingConfig(
            onload_device=torch.device("cpu"),
            offload_device=torch.device(
                "cpu", 0
            ),  # not the other: weights that are there are told from those that are not
            offload_type=group_offloading.GroupOffloadingType(optimization.offload_type),
            non_blocking=False,
            record_stream=False,
            low_cpu_mem_usage=False,
            num_blocks_per_group=1,
            stream=group_offloading.TorchDeviceBackend("cpu").Stream(),  # type: ignore[arg-type]
            block_modules=getattr(model, "_group_offload_block_modules", None),
        ),
    )


def sums(happened: list[tuple[str, int]]) -> dict[str, int]:
    """Bytes by operator; what was logged is forgotten."""
    found = {key: sum(size for name, size in happened if name == key) for key in {name for name, _ in happened}}
    happened.clear()
    return {key: size for key, size in found.items() if size}


@pytest.mark.parametrize("replaying", [True, False])
@pytest.mark.parametrize("stream", [True, False])
def test_a_peak_is_the_groups_that_are_there(stream: bool, replaying: bool, experiment: Callable) -> None:
    """Two blocks with a stream, one without, beside what lies around them and what is not of the denoiser."""
    words = ("workload=flux", STEPS)
    plain = simulated(experiment, [], *words)
    found = simulated(experiment, [group_offload(stream=stream)], *words, replaying=replaying)
    _, workload = on_gpu(experiment, *words)
    denoiser: Any = workload.parts["denoiser"]
    blocks = [*denoiser.transformer_blocks, *denoiser.single_transformer_blocks]
    around = num_bytes(denoiser) - num_bytes(*blocks)
    sizes = [num_bytes(block) for block in blocks]
    together = [a + b for a, b in pairwise(sizes)] if stream else sizes
    rest = num_bytes(*workload.parts.values()) - num_bytes(denoiser)
    beside = peaks(plain)["denoise_step"] - num_bytes(*workload.parts.values())
    assert rest + around + max(together) < peaks(found)["denoise_step"] <= rest + around + max(together) + beside
    assert peaks(found)["decode"] == peaks(plain)["decode"] - num_bytes(denoiser)
    assert found.num_steps == 4


def test_what_a_model_computed_without_values_travels_too(experiment: Callable) -> None:
    """Stable Video Diffusion's denoiser holds a few weights that are there even where it was built on the meta device."""
    _, workload = on_gpu(experiment, "workload=stable_video_diffusion")
    denoiser = workload.parts["denoiser"]
    where = {name: weight.device.type for name, weight in denoiser.named_parameters()}
    assert set(where.values()) == {"meta", "cpu"}
    handle = group_offload().apply(workload)
    assert workload.offload is not None
    assert sum(group.num_bytes for group in workload.offload.groups) == num_bytes(denoiser)
    assert {name: weight.device.type for name, weight in denoiser.named_parameters()} == where
    handle.revert()


def test_replayed_calls_repeat_their_copies(experiment: Callable) -> None:
    """A simulation that simulates every call tells the same, row by row and peak by peak."""
    for optimization in (group_offload(stream=True), group_offload("leaf_level", stream=True), group_offload(blocks=2)):
        one, other = (
            simulated(experiment, [optimization], "workload=flux", STEPS, replaying=replaying)
            for replaying in (True, False)
        )
        assert sorted(map(repr, one.operators.to_pylist())) == sorted(map(repr, other.operators.to_pylist()))
        assert one.memory_peaks.drop_columns("reserved_bytes") == other.memory_peaks.drop_columns("reserved_bytes")


@pytest.mark.parametrize("level", ["block_level", "leaf_level"])
@pytest.mark.parametrize("name", ["flux", "stable_diffusion", "wan"])
def test_diffusers_hooks_change_no_bit_and_leave_nothing(level: str, name: str, experiment: Callable) -> None:
    workload = experiment(f"workload={name}", STEPS).make_workload()
    optimization, denoiser = group_offload(level), workload.parts["denoiser"]
    expected, before, held = workload.generate(), attributes(denoiser), list(denoiser.parameters())
    handle = Handle("")
    park([denoiser], "cpu", handle)
    optimization.put_on(denoiser, "cpu")
    assert any(hasattr(module, "_diffusers_hook") for module in denoiser.modules())
    assert torch.equal(workload.generate(), expected)
    handle.revert()
    assert attributes(denoiser) == before
    assert all(one is other for one, other in zip(held, denoiser.parameters(), strict=True))
    assert torch.equal(workload.generate(), expected)


def test_host_memory_is_pinned_for_a_stream(experiment: Callable) -> None:
    _, workload = on_gpu(experiment, "workload=flux")
    denoiser = workload.parts["denoiser"]
    around = num_bytes(denoiser) - num_bytes(*denoiser.transformer_blocks, *denoiser.single_transformer_blocks)
    for optimization, pinned in (
        (group_offload(stream=True), num_bytes(denoiser) - around),
        (group_offload("leaf_level", stream=True), num_bytes(denoiser)),
        (group_offload(stream=True, low_cpu_mem_usage=True), 0),
        (group_offload(), 0),
    ):
        handle = optimization.apply(workload)
        assert workload.offload is not None
        waiting = planned_host_memory(workload.offload)
        assert (waiting.weights_bytes, waiting.pinned_bytes) == (num_bytes(denoiser), pinned)
        handle.revert()


def test_measured_host_memory_is_asked_of_the_tensors(smoke_workload: Callable) -> None:
    workload = smoke_workload("flux")
    found = measured_host_memory(workload)
    assert (found.weights_bytes, found.pinned_bytes) == (num_bytes(*workload.parts.values()), 0)


def test_what_cannot_be_had_says_why(experiment: Callable, smoke_workload: Callable) -> None:
    with pytest.raises(NotApplicableError, match=r"in host memory already \(device=cpu\)"):
        group_offload().apply(smoke_workload("flux"))
    _, workload = on_gpu(experiment, "workload=flux")
    _, own = on_gpu(experiment, "workload=muse")
    with pytest.raises(NotApplicableError, match="is no model of diffusers or transformers"):
        group_offload().apply(own)
    _, language = on_gpu(experiment, "workload=llama")
    with pytest.raises(NotApplicableError, match="no blocks in a LlamaForCausalLM: all of it would come"):
        group_offload().apply(language)
    with pytest.raises(NotApplicableError, match="has no super_resolution"):
        group_offload(parts=["super_resolution"]).apply(workload)
    workload.parts["denoiser"]._supports_group_offloading = False
    with pytest.raises(NotApplicableError, match="FluxTransformer2DModel cannot be offloaded in groups"):
        group_offload().apply(workload)
    with pytest.raises(ConfigError, match="offload_type=model: block_level or leaf_level"):
        group_offload("model")
    with pytest.raises(ConfigError, match="num_blocks_per_group=0"):
        group_offload(blocks=0)
    with pytest.raises(ConfigError, match="no stream to record"):
        group_offload(record_stream=True)
    with pytest.raises(ConfigError, match="parts=unet"):
        group_offload(parts=["unet"])
