"""VAE tiling: as many tiles as the strides say, a lower peak, nothing left behind, and a reason where there is one tile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import ceil
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from suite.errors import ConfigError
from suite.optimizations.vae_tiling import VaeTiling, compression_of
from suite.simulation.generation import simulate
from suite.workload import NotApplicableError


@pytest.mark.parametrize(
    ("name", "tile", "stride", "calls_a_tile"),
    [
        ("stable_diffusion", 32, 24, 1),  # three quarters of a tile
        ("wan", 32, 24, 3),  # one latent frame at a time
        ("ltx_video", 64, 32, 1),  # seven eighths are 56, of which whole latent pixels make 32
        ("sana", 64, 32, 1),
    ],
)
def test_as_many_tiles_as_strides_fit(
    name: str, tile: int, stride: int, calls_a_tile: int, experiment: Callable
) -> None:
    """An independent count: one tile begins at every stride of the output, along height and along width."""
    workload = experiment(f"workload={name}", "request.num_inference_steps=2").make_workload()
    vae: Any = workload.parts["decoder"]
    expected, seen = workload.generate(), []
    before = dict(vars(vae))
    handle = VaeTiling(tile).apply(workload)
    hook = vae.decoder.register_forward_pre_hook(lambda module, args: seen.append(tuple(args[0].shape[-2:])))
    output = workload.generate()
    hook.remove()
    assert output.shape == expected.shape
    assert not torch.equal(output, expected), "a tile sees nothing of its neighbours"
    num_tiles = ceil(workload.request.height / stride) * ceil(workload.request.width / stride)
    assert len(seen) == num_tiles * calls_a_tile
    assert seen[0] == (tile // compression_of(vae), tile // compression_of(vae))
    handle.revert()
    assert {name: value for name, value in vars(vae).items() if "til" in name} == {
        name: value for name, value in before.items() if "til" in name
    }
    assert torch.equal(workload.generate(), expected)


def test_a_simulation_counts_the_tiles_that_a_run_decodes(experiment: Callable) -> None:
    """The same FLOPs as torch counts on values, and fewer bytes at the peak of decoding than a whole image needs."""
    words = ("workload=stable_diffusion", "request.num_inference_steps=2", "execution=simulate")
    run = experiment(*words)
    peaks, flops = [], []
    for stack in ((), (VaeTiling(32),)):
        workload = run.make_workload(replace(run.placement, device="meta"))
        for optimization in stack:
            optimization.apply(workload)
        found = simulate(workload)
        rows = [row for row in found.operators.to_pylist() if row["stage"] == "decode"]
        flops.append(sum(row["flops"] for row in rows))
        peaks += [
            row["activations_bytes"] for row in found.memory_peaks.to_pylist() if row["stage"] == "decode"
        ]  # fmt: skip
    assert peaks[1] < peaks[0] / 4
    workload = run.make_workload()
    VaeTiling(32).apply(workload)
    latent = torch.zeros(workload.request.batch_size, 4, 16, 16)
    # torch's counter has no formula for a CPU's flash kernel
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.inference_mode():
        workload.parts["decoder"].decode(latent)
    assert flops[1] == counter.get_total_flops() > flops[0]


def test_what_would_be_a_single_tile_says_so(experiment: Callable, smoke_workload: Callable) -> None:
    workload = smoke_workload("stable_diffusion")
    before = dict(vars(workload.parts["decoder"]))
    with pytest.raises(NotApplicableError, match=r"16 x 16 is a single tile.*AutoencoderKL.*larger than 128 x 128"):
        VaeTiling(None).apply(workload)
    assert dict(vars(workload.parts["decoder"])) == before
    with pytest.raises(NotApplicableError, match=r"ViTVQGANDecoder\) does not decode latents in tiles"):
        VaeTiling(None).apply(smoke_workload("parti"))
    with pytest.raises(ConfigError, match="tile_pixels=36: a multiple of 8"):
        VaeTiling(36).apply(workload)
    with pytest.raises(ConfigError, match="tile_pixels=0: a whole number"):
        VaeTiling(0)
    with pytest.raises(ConfigError, match=r"tile_pixels=40: tiles that overlap by 0\.25 of their side would not meet"):
        VaeTiling(40).apply(workload)
    with pytest.raises(ConfigError, match=r"tile_pixels=48: tiles that overlap by 0\.2 of"):
        VaeTiling(48).apply(smoke_workload("cogvideox"))
    assert dict(vars(workload.parts["decoder"])) == before
    handle = VaeTiling(64).apply(workload)
    with pytest.raises(NotApplicableError, match="tiles already"):
        VaeTiling(64).apply(workload)
    handle.revert()


def test_an_image_wider_than_a_tile_is_tiled_without_being_asked_for_a_size(experiment: Callable) -> None:
    workload = experiment("request.width=256").make_workload()
    handle = VaeTiling(None).apply(workload)
    assert "at most 128 x 128 pixels" in handle.changes
    handle.revert()
