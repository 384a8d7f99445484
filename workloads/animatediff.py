"""AnimateDiff: Stable Diffusion v1 with motion modules between its blocks (Guo et al. 2023, arXiv 2307.04725).

Drives diffusers' AnimateDiffPipeline. All frames of a video are denoised together: spatial layers see each frame alone
(``[B*F, H*W, C]``), motion modules see each pixel through time (``[B*H*W, F, C]``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from diffusers import AnimateDiffPipeline, AutoencoderKL, DDIMScheduler, MotionAdapter, UNetMotionModel
from transformers import CLIPTextConfig, CLIPTextModel

from suite.attribution.scopes import AttentionRule
from suite.errors import ConfigError
from suite.workload import Placement, Request, Weights
from workloads.diffusers_pipeline import DiffusersWorkload, load_pretrained, require_components
from workloads.random_weights import redraw_zero_weights, seeded_construction
from workloads.tokenizer import NOTE, byte_tokenizer


class AnimateDiff(DiffusersWorkload):
    """Text to video: CLIP text encoder, U-Net with spatial, cross and temporal attention, VAE decoding frame batches.

    Args:
        text_encoder: fields of transformers' CLIPTextConfig.
        unet: arguments of UNetMotionModel.
        vae: arguments of AutoencoderKL.
        scheduler: arguments of DDIMScheduler.
        motion_adapter: with pretrained weights, the folder or hub id of a MotionAdapter to put into a plain Stable
            Diffusion pipeline; null where the pipeline's folder holds its own.
    """

    family: ClassVar[str] = "diffusion_latent"
    media: ClassVar[str] = "video"
    attention_rules: ClassVar = (
        AttentionRule(r"^text_encoder\..*\.self_attn$", "causal"),
        AttentionRule(r"^denoiser\..*motion_modules\..*\.attn[12]$", "temporal"),
        AttentionRule(r"^denoiser\..*\.attn1$", "spatial"),
        AttentionRule(r"^denoiser\..*\.attn2$", "cross"),
        AttentionRule(r"^decoder\..*mid_block\.attentions\.\d+$", "spatial"),
    )

    def __init__(
        self,
        text_encoder: Mapping[str, Any],
        unet: Mapping[str, Any],
        vae: Mapping[str, Any],
        scheduler: Mapping[str, Any],
        motion_adapter: str | None,
        *,
        request: Request,
        weights: Weights,
        placement: Placement,
    ) -> None:
        for key in ("height", "width"):
            request.require_multiple(key, self.decoder_scale)
        longest = unet["motion_max_seq_length"]
        if request.num_frames is None or request.num_frames > longest:
            raise ConfigError(f"request.num_frames={request.num_frames}: the motion modules take 1 to {longest} frames")
        if weights.pretrained:
            adapter = {"motion_adapter": _load_adapter(motion_adapter, placement)} if motion_adapter else {}
            pipeline = load_pretrained(AnimateDiffPipeline, weights, placement, **adapter)
            require_components(pipeline, {"unet": UNetMotionModel, "vae": AutoencoderKL}, weights.path)
        else:
            pipeline = _random_pipeline(text_encoder, unet, vae, scheduler, placement, weights.seed)
            self.notes = (NOTE,)
        super().__init__(pipeline, "unet", request, placement)

    def arguments(self) -> dict[str, Any]:
        return super().arguments() | {"num_frames": self.request.num_frames}

    @torch.inference_mode()
    def generate(self) -> torch.Tensor:
        """One video an element of the batch, ``[B, F, C, H, W]`` in [0, 1]."""
        return super().generate()


def _load_adapter(path: str, placement: Placement) -> MotionAdapter:
    try:
        return MotionAdapter.from_pretrained(path, torch_dtype=placement.dtype)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(f"workload motion_adapter={path}: cannot be loaded as a MotionAdapter: {reason}") from None


def _random_pipeline(
    text_encoder: Mapping[str, Any],
    unet: Mapping[str, Any],
    vae: Mapping[str, Any],
    scheduler: Mapping[str, Any],
    placement: Placement,
    seed: int,
) -> AnimateDiffPipeline:
    with seeded_construction(placement, seed):
        parts = {
            "text_encoder": CLIPTextModel(CLIPTextConfig(**text_encoder)),
            "unet": UNetMotionModel(**unet),
            "vae": AutoencoderKL(**vae),
        }
        for part in parts.values():
            redraw_zero_weights(part)
    return AnimateDiffPipeline(
        **parts,
        tokenizer=byte_tokenizer(text_encoder["max_position_embeddings"]),
        # The adapter's layers are the U-Net's own already; the pipeline accepts their absence.
        motion_adapter=None,  # pyright: ignore[reportArgumentType]
        scheduler=DDIMScheduler(**scheduler),
    )
