"""Caches of diffusers: they really skip, they leave nothing behind, and where they would do nothing they say so.

Names for the mirror: suite.optimizations.diffusers_hooks, suite.optimizations.pyramid_attention_broadcast,
suite.optimizations.first_block_cache, suite.optimizations.faster_cache, suite.optimizations.taylorseer,
suite.optimizations.mag_cache.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from optimizations.exactness import FLOAT64_BOUND, cast_to_float64, error
from torch import nn

from suite.errors import ConfigError
from suite.optimizations.faster_cache import FasterCache
from suite.optimizations.first_block_cache import FirstBlockCache
from suite.optimizations.mag_cache import MagCache
from suite.optimizations.pyramid_attention_broadcast import PyramidAttentionBroadcast
from suite.optimizations.taylorseer import TaylorSeer
from suite.simulation.generation import simulate
from suite.stage import stage
from suite.workload import NotApplicableError, UnsupportedError

NUM_STEPS = 10
EVERYWHERE = (-1, 1001)
BROADCAST = PyramidAttentionBroadcast(2, 2, 2, EVERYWHERE)
FIRST_BLOCK = FirstBlockCache(1e9)
FASTER = FasterCache(2, 5, EVERYWHERE, EVERYWHERE, 0.3)
TAYLOR = TaylorSeer(5, 3, 1, "float32")
MAGNITUDE = MagCache(1e9, 3, 0.2)
HOOKED = ("forward", "_diffusers_hook")


@pytest.fixture(scope="module")
def longer(experiment: Callable) -> Callable:
    """A smoke-sized workload with enough steps to skip some of them."""
    return cache(
        lambda name: experiment(f"workload={name}", f"request.num_inference_steps={NUM_STEPS}").make_workload()
    )


def generate(workload: Any) -> torch.Tensor:
    with stage("generate"):
        return workload.generate()


def batches(module: nn.Module) -> list[int]:
    """Batch sizes of the calls whose forward really runs."""
    seen: list[int] = []
    module.register_forward_pre_hook(lambda module, args: seen.append(args[0].shape[0]))
    return seen


def left_behind(denoiser: nn.Module) -> list[set[str]]:
    return [set(vars(module)) & {"forward"} | set(_hook_names(module)) for module in denoiser.modules()]


def _hook_names(module: nn.Module) -> list[str]:
    registry = vars(module).get("_diffusers_hook")
    return [] if registry is None else list(registry.hooks)


@pytest.mark.parametrize(
    ("optimization", "name", "watched", "num_calls"),
    [
        (BROADCAST, "cogvideox", "transformer_blocks.0.attn1.to_q", 5),  # every second step
        (FIRST_BLOCK, "cogvideox", "transformer_blocks.1.ff", 1),  # the first step alone
        (FIRST_BLOCK, "cogvideox", "transformer_blocks.0.ff", 10),  # the block that tells
        (TAYLOR, "flux", "transformer_blocks.0.attn.to_q", 5),  # 0 to 2, then 4 and 9, as diffusers counts
        (MAGNITUDE, "cogvideox", "transformer_blocks.0.ff", 4),  # 0 and 1, then one full step after three skipped
    ],
)
def test_it_skips_what_it_says(optimization: Any, name: str, watched: str, num_calls: int, longer: Callable) -> None:
    workload = longer(name)
    denoiser = workload.parts["denoiser"]
    before, untouched = generate(workload), left_behind(denoiser)
    handle = optimization.apply(workload)
    calls = batches(denoiser.get_submodule(watched))
    first = generate(workload)
    assert len(calls) == num_calls
    assert not torch.equal(first, before)
    assert torch.equal(generate(workload), first), "nothing goes over from one generation to the next"
    assert not handle.replayable
    handle.revert()
    assert torch.equal(generate(workload), before)
    assert left_behind(denoiser) == untouched


def test_faster_cache_computes_the_unconditional_half_once_in_five_steps(longer: Callable) -> None:
    workload = longer("cogvideox")
    before = generate(workload)
    handle = FASTER.apply(workload)
    seen = batches(workload.parts["denoiser"].get_submodule("transformer_blocks.0.ff"))
    assert not torch.equal(generate(workload), before)
    assert seen == [2 if step % 5 == 0 else 1 for step in range(NUM_STEPS)]
    handle.revert()
    assert torch.equal(generate(workload), before)


def test_thresholds_that_nothing_passes_change_nothing(experiment: Callable) -> None:
    """In float64: what a cache takes off and adds again is rounded."""
    run = experiment("workload=cogvideox", f"request.num_inference_steps={NUM_STEPS}")
    workload = cast_to_float64(run.make_workload())
    before = generate(workload)
    for optimization in (FirstBlockCache(0.0), MagCache(0.0, 3, 0.2), PyramidAttentionBroadcast(2, 2, 2, (2000, 3000))):
        handle = optimization.apply(workload)
        assert error(generate(workload), before) <= FLOAT64_BOUND
        handle.revert()


@pytest.mark.parametrize(
    ("optimization", "name", "reason"),
    [
        (BROADCAST, "muse", "is no pipeline of diffusers"),
        (BROADCAST, "stable_video_diffusion", "timesteps are no numbers up to 1000"),
        (FIRST_BLOCK, "stable_diffusion", "does not tell its calls apart"),
        (TAYLOR, "animatediff", "does not tell its calls apart"),
        (TAYLOR, "cogvideox", "finds nothing to hook"),
        (FASTER, "animatediff", "does not fit a UNetMotionModel"),
        (FASTER, "wan", "does not fit a WanTransformer3DModel"),
        (MAGNITUDE, "sd3", "does not tell its calls apart"),
        (MAGNITUDE, "parti", "no denoising steps"),
    ],
)
def test_what_would_do_nothing_says_so(optimization: Any, name: str, reason: str, smoke_workload: Callable) -> None:
    workload = smoke_workload(name)
    denoiser = workload.parts["denoiser"]
    before = left_behind(denoiser)
    with pytest.raises(NotApplicableError, match=reason):
        optimization.apply(workload)
    assert left_behind(denoiser) == before


def test_a_denoiser_that_is_called_twice_a_step_would_get_mixed_up(smoke_workload: Callable) -> None:
    workload = smoke_workload("wan")
    handle = BROADCAST.apply(workload)
    with pytest.raises(UnsupportedError, match="mixes up the two denoiser calls"):
        generate(workload)
    handle.revert()
    assert generate(workload).isfinite().all()


def test_what_looks_at_values_cannot_be_simulated(experiment: Callable) -> None:
    run = experiment("workload=cogvideox")
    imagined = run.make_workload(replace(run.placement, device="meta"))
    imagined.placement = run.placement  # as an execution has it: the device that is simulated
    for optimization in (FIRST_BLOCK, MAGNITUDE):
        with pytest.raises(UnsupportedError, match="simulation"):
            optimization.apply(imagined)
        assert not any(_hook_names(module) for module in imagined.parts["denoiser"].modules())


def test_what_goes_by_the_timestep_can(experiment: Callable) -> None:
    """Six steps with attention in three of them: half of the calls."""
    run = experiment("workload=cogvideox", "request.num_inference_steps=6")
    calls = []
    for optimization in (None, BROADCAST):
        imagined = run.make_workload(replace(run.placement, device="meta"))
        handle = None if optimization is None else optimization.apply(imagined)
        kinds = simulate(imagined, replaying=handle is None or handle.replayable).attention.to_pylist()
        calls.append(sum(row["stage"] == "denoise_step" for row in kinds))
    assert calls[1] * 2 == calls[0]


def test_wrong_values_are_one_sentence() -> None:
    with pytest.raises(ConfigError, match="cross_range=0"):
        PyramidAttentionBroadcast(2, 2, 0, EVERYWHERE)
    with pytest.raises(ConfigError, match="precision=half: one of float32"):
        TaylorSeer(5, 3, 1, "half")
