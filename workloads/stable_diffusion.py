"""Stable Diffusion v1: latent diffusion with a text-conditioned U-Net (Rombach et al. 2022, arXiv 2112.10752).

Drives diffusers' StableDiffusionPipeline. Dimensions at scale=paper are those of CompVis's v1-inference.yaml, whose U-Net has
859.5 M parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from suite.attribution.scopes import AttentionRule
from suite.workload import Placement, Request, Weights
from workloads.diffusers_pipeline import DiffusersWorkload, load_pretrained, require_components
from workloads.random_weights import redraw_zero_weights, seeded_construction
from workloads.tokenizer import NOTE, byte_tokenizer


class StableDiffusion(DiffusersWorkload):
    """Text to image: CLIP text encoder, U-Net with spatial and cross attention, convolutional VAE decoder.

    Args:
        text_encoder: fields of transformers' CLIPTextConfig.
        unet: arguments of UNet2DConditionModel.
        vae: arguments of AutoencoderKL.
        scheduler: arguments of DDIMScheduler.
    """

    family: ClassVar[str] = "diffusion_latent"
    media: ClassVar[str] = "image"
    attention_rules: ClassVar = (
        AttentionRule(r"^text_encoder\..*\.self_attn$", "causal"),
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
        *,
        request: Request,
        weights: Weights,
        placement: Placement,
    ) -> None:
        for key in ("height", "width"):
            request.require_multiple(key, self.decoder_scale)
        if weights.pretrained:
            pipeline = load_pretrained(StableDiffusionPipeline, weights, placement, safety_checker=None)
            require_components(pipeline, {"unet": UNet2DConditionModel, "vae": AutoencoderKL}, weights.path)
        else:
            pipeline = _random_pipeline(text_encoder, unet, vae, scheduler, placement, weights.seed)
            self.notes = (NOTE,)
        super().__init__(pipeline, "unet", request, placement)


def _random_pipeline(
    text_encoder: Mapping[str, Any],
    unet: Mapping[str, Any],
    vae: Mapping[str, Any],
    scheduler: Mapping[str, Any],
    placement: Placement,
    seed: int,
) -> StableDiffusionPipeline:
    with seeded_construction(placement, seed):
        parts = {
            "text_encoder": CLIPTextModel(CLIPTextConfig(**text_encoder)),
            "unet": UNet2DConditionModel(**unet),
            "vae": AutoencoderKL(**vae),
        }
        for part in parts.values():
            redraw_zero_weights(part)
    return StableDiffusionPipeline(
        **parts,
        tokenizer=byte_tokenizer(text_encoder["max_position_embeddings"]),
        scheduler=DDIMScheduler(**scheduler),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
