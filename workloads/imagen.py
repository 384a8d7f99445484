"""Imagen: a cascade of diffusion models on pixels (Saharia et al. 2022, arXiv 2205.11487).

T5-XXL encodes the prompt; a U-Net denoises 64 x 64 pixels; two more raise them to 256 x 256 and 1024 x 1024, each conditioned
on the noised smaller image and on the text. The U-Nets are diffusers' UNet2DConditionModel and the loops DeepFloyd-IF's
pipelines, which were made after Imagen; docs/decisions/imagen.md tells where their layout differs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import IFPipeline, IFSuperResolutionPipeline
from torch import Tensor, nn

from suite.errors import ConfigError
from suite.stage import stage
from suite.workload import Placement, Request, Weights, Workload
from workloads.attention_kinds import attention_rules
from workloads.components import Description, build_pipeline, load_pretrained, require_components
from workloads.media_files import save_images
from workloads.pipeline_stages import PipelineStages
from workloads.tokenizer import NOTE

BASE, SUPER_RESOLUTION = "base", "super_resolution_{}"
"""Folders of a pretrained cascade."""
CORNER = 8
"""The base U-Net halves its image three times."""


class Imagen(Workload):
    """Text to image in three diffusion models.

    Args:
        components: description of the base model's IFPipeline.
        super_resolution: descriptions of the IFSuperResolutionPipelines, in the order in which they run.
        upscaling: how many times larger each of them makes the image, along each side.
        super_resolution_steps: denoising steps of each.
        super_resolution_guidance: their guidance weight.
        noise_level: how far, of the noising scheduler's steps, the smaller image is noised before it conditions the larger.
    """

    family: ClassVar[str] = "diffusion_pixel"
    media: ClassVar[str] = "image"

    def __init__(
        self,
        components: Description,
        super_resolution: Sequence[Description],
        upscaling: Sequence[int],
        super_resolution_steps: Sequence[int],
        super_resolution_guidance: float,
        noise_level: int,
        *,
        request: Request,
        weights: Weights,
        placement: Placement,
    ) -> None:
        self.request, self.placement = request, placement
        self.upscaling = tuple(upscaling)
        self.super_resolution_steps = tuple(super_resolution_steps)
        self.super_resolution_guidance = super_resolution_guidance
        self.noise_level = noise_level
        self.size = _base_size(request, self.upscaling)
        if weights.pretrained:
            self.base, self.upscalers = _load(components, super_resolution, weights, placement)
        else:
            self.base, self.upscalers = _build(components, super_resolution, weights.seed, placement)
            self.notes = (NOTE,)
        self.parts = {
            "text_encoder": self.base.text_encoder,
            "denoiser": self.base.unet,
            "super_resolution": nn.ModuleDict({str(i): p.unet for i, p in enumerate(self.upscalers)}),
        }
        for part in self.parts.values():
            part.eval()
        for upscaler in self.upscalers:
            upscaler.set_progress_bar_config(disable=True)
        self.attention_rules = attention_rules(self.parts, self.media)
        PipelineStages(self.base, {"denoiser": {"unet": self.base.unet}}, encoding_methods=())

    @property
    def num_steps(self) -> int:
        """Of the base; the upscalers' loops are within ``super_resolve``."""
        return len(self.base.scheduler.timesteps)

    @torch.inference_mode()
    def generate(self) -> Tensor:
        """Images ``[B, 3, H, W]`` in [0, 1]."""
        generator = torch.Generator(self.placement.device).manual_seed(self.request.seed)
        with stage("text_encode"):
            text = self.encode_text()
        height, width = self.size
        image_BCHW = self.base(
            **text,
            height=height,
            width=width,
            num_inference_steps=self.request.num_inference_steps,
            guidance_scale=self.request.guidance_scale,
            generator=generator,
            output_type="pt",
            return_dict=False,
        )[0]
        for upscaler, factor, num_steps in zip(
            self.upscalers, self.upscaling, self.super_resolution_steps, strict=True
        ):
            height, width = height * factor, width * factor
            with stage("super_resolve"):
                image_BCHW = upscaler(
                    **text,
                    image=image_BCHW,
                    height=height,
                    width=width,
                    num_inference_steps=num_steps,
                    guidance_scale=self.super_resolution_guidance if self.request.guided else 1.0,
                    noise_level=self.noise_level,
                    generator=generator,
                    output_type="pt",
                    return_dict=False,
                )[0]
        return (image_BCHW / 2 + 0.5).clamp(0, 1)

    def encode_text(self) -> dict[str, Tensor | None]:
        """The prompts' embeddings, and the empty or negative prompts' where guidance needs them, each ``[B, T, D]``."""
        request = self.request
        negative = None if request.negative_prompt is None else [request.negative_prompt] * request.batch_size
        prompt, unconditional = self.base.encode_prompt(
            [request.prompt] * request.batch_size,
            do_classifier_free_guidance=request.guided,
            device=torch.device(self.placement.device),
            negative_prompt=negative,
            clean_caption=False,
        )
        return {"prompt_embeds": prompt, "negative_prompt_embeds": unconditional}

    def save(self, output: Tensor, folder: Path) -> list[Path]:
        return save_images(output, folder)

    def save_pretrained(self, folder: Path) -> None:
        """Write the cascade as a folder that ``weights=pretrained`` reads."""
        self.base.save_pretrained(folder / BASE)
        for number, upscaler in enumerate(self.upscalers):
            upscaler.save_pretrained(folder / SUPER_RESOLUTION.format(number))


def _base_size(request: Request, upscaling: Sequence[int]) -> tuple[int, int]:
    factor = 1
    for times in upscaling:
        factor *= times
    for key in ("height", "width"):
        request.require_multiple(key, factor * CORNER)
    if request.num_frames is not None:
        raise ConfigError(f"request.num_frames={request.num_frames}: imagen draws images (null)")
    return (request.height or 0) // factor, (request.width or 0) // factor


def _build(
    components: Description, super_resolution: Sequence[Description], seed: int, placement: Placement
) -> tuple[Any, list[Any]]:
    base = build_pipeline(IFPipeline, components, placement, seed)
    upscalers = [
        build_pipeline(IFSuperResolutionPipeline, description, placement, seed) for description in super_resolution
    ]
    return base, upscalers


def _load(
    components: Description, super_resolution: Sequence[Description], weights: Weights, placement: Placement
) -> tuple[Any, list[Any]]:
    left_out: Mapping[str, Any] = {"safety_checker": None, "watermarker": None}
    at = replace(weights, path=f"{weights.path}/{BASE}")
    base = load_pretrained(IFPipeline, at, placement, **left_out)
    require_components(base, components, at.path)
    upscalers = []
    for number, description in enumerate(super_resolution):
        at = replace(weights, path=f"{weights.path}/{SUPER_RESOLUTION.format(number)}")
        upscalers.append(
            load_pretrained(IFSuperResolutionPipeline, at, placement, text_encoder=None, tokenizer=None, **left_out)
        )
        require_components(upscalers[-1], description, at.path)
    return base, upscalers
