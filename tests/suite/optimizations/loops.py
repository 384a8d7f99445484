"""Denoising loops of a few lines around tiny denoisers of diffusers, in double precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from suite.stage import DENOISER_FORWARD, stage
from suite.workload import Placement, Request, Workload

CHANNELS = 8


class Loop(Workload):
    """Calls its denoiser in every step, as `step` says, and returns the last sample.

    Args:
        denoiser: any.
        step: ``step(denoiser, sample, number of the step) -> sample``.
        start: the first sample.
    """

    family: ClassVar[str] = "diffusion_latent"
    media: ClassVar[str] = "image"
    attention_rules: ClassVar = ()

    def __init__(
        self, denoiser: nn.Module, step: Callable[[Any, Tensor, int], Tensor], start: Tensor, num_steps: int
    ) -> None:
        self.request = Request(
            prompt="", negative_prompt=None, batch_size=1, height=None, width=None, num_frames=None,
            num_inference_steps=num_steps, guidance_scale=None, seed=0,
        )  # fmt: skip
        self.placement = Placement(device="cpu", precision="float32")
        self.parts = {"denoiser": denoiser}
        self.step, self.start = step, start

    @torch.no_grad()
    def generate(self) -> Tensor:
        sample = self.start
        with stage("generate"):
            for number in range(self.request.num_inference_steps or 0):
                with stage("denoise_step"), stage(DENOISER_FORWARD):
                    sample = self.step(self.parts["denoiser"], sample, number)
        return sample

    def save(self, output: Any, folder: Path) -> list[Path]:
        raise NotImplementedError


def motion_unet() -> Any:
    from diffusers import UNetMotionModel

    torch.manual_seed(0)
    return (
        UNetMotionModel(
            sample_size=8,
            block_out_channels=(CHANNELS, 2 * CHANNELS),
            layers_per_block=2,
            down_block_types=("CrossAttnDownBlockMotion", "DownBlockMotion"),
            up_block_types=("UpBlockMotion", "CrossAttnUpBlockMotion"),
            cross_attention_dim=16,
            num_attention_heads=2,
            motion_num_attention_heads=2,
            motion_max_seq_length=4,
            use_motion_mid_block=False,
            norm_num_groups=4,
        )
        .double()
        .eval()
    )


def image_unet(layers_per_block: Any = 2) -> Any:
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    return (
        UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(CHANNELS, 2 * CHANNELS),
            layers_per_block=layers_per_block,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            cross_attention_dim=16,
            attention_head_dim=4,
            norm_num_groups=4,
        )
        .double()
        .eval()
    )


def video_unet() -> Any:
    from diffusers import UNetSpatioTemporalConditionModel

    torch.manual_seed(0)
    return (
        UNetSpatioTemporalConditionModel(
            sample_size=8,
            in_channels=4,
            block_out_channels=(32, 64),
            layers_per_block=2,
            down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
            up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
            cross_attention_dim=16,
            num_attention_heads=(2, 2),
            addition_time_embed_dim=4,
            projection_class_embeddings_input_dim=12,
            num_frames=3,
        )
        .double()
        .eval()
    )


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


TEXT = random(1, 5, 16, seed=1)
ALPHAS = torch.linspace(1, 0.02, 1001, dtype=torch.float64)
"""Cumulative noise levels by timestep; timestep 0 is the clean sample."""


def ddim_update(sample: Tensor, noise: Tensor, timestep: int, following: int) -> Tensor:
    """DDIM with eta = 0 (Song et al. 2021, equation 12), from one timestep to any other."""
    now, then = ALPHAS[timestep], ALPHAS[following]
    clean = (sample - (1 - now).sqrt() * noise) / now.sqrt()
    return then.sqrt() * clean + (1 - then).sqrt() * noise


def ddim_step(timesteps: Sequence[int]) -> Callable[[Any, Tensor, int], Tensor]:
    """A step of DDIM down this list, which ends at the clean sample."""
    following = [*timesteps[1:], 0]

    def step(denoiser: Any, sample: Tensor, number: int) -> Tensor:
        frames = sample.shape[2] if sample.ndim == 5 else 1
        noise = denoiser(sample, timesteps[number], TEXT.repeat(frames, 1, 1)).sample
        return ddim_update(sample, noise, timesteps[number], following[number])

    return step
