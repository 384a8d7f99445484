"""Muse: text to image by masked generative transformers (Chang et al. 2023, arXiv 2301.00704).

A T5-XXL encoder; a base transformer that fills a grid of image tokens over some steps (``denoise_step``); a super-resolution
transformer that fills a grid four times as wide, looking at the base's tokens and the text (one span of ``super_resolve``
around its whole loop); the decoder of a VQGAN.

Shape suffixes: B batch (doubled under guidance), N tokens of a grid, T text tokens, E their width, S tokens attended to,
D width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from math import prod
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import T5Config, T5EncoderModel

from suite.attribution.scopes import AttentionRule
from suite.stage import DENOISER_FORWARD, mark_calls, stage
from suite.workload import Placement, Request, Weights, Workload
from workloads.maskgit import MaskedTransformer, cosine_schedule, fill
from workloads.media_files import save_images
from workloads.part_files import load_parts
from workloads.random_weights import redraw_zero_weights, seeded_construction
from workloads.requests import guided_prompts, refuse
from workloads.sliced_transformer import SLICING_RECIPES
from workloads.t5_text import encode_text
from workloads.tokenizer import NOTE, byte_tokenizer
from workloads.transformer import GridPositions, TransformerBlock
from workloads.vqgan import VQGANDecoder, pixels_per_token


class LowResolutionEncoder(nn.Module):
    """Self-attention over the base's tokens; what comes out stands beside the text for the super-resolution transformer.

    Args:
        grid: rows and columns of the base's tokens.
        codebook_size: of the base's tokens.
        width, mlp_width, num_layers, num_heads: of the blocks.
    """

    def __init__(
        self, grid: tuple[int, int], *, codebook_size: int, width: int, mlp_width: int, num_layers: int, num_heads: int
    ) -> None:
        super().__init__()
        self.embed = nn.Embedding(codebook_size, width)
        self.positions = GridPositions(grid, width)
        self.blocks = nn.ModuleList(TransformerBlock(width, mlp_width, num_heads) for _ in range(num_layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens_BN: Tensor) -> Tensor:
        """``[B, N, D]``."""
        x_BND = self.embed(tokens_BN) + self.positions()
        for block in self.blocks:
            x_BND = block(x_BND)
        return self.norm(x_BND)


class Muse(Workload):
    """Text to image in two masked decodings, the second for detail.

    Args:
        text_encoder: fields of T5Config.
        base: ``codebook_size``, ``width``, ``mlp_width``, ``num_layers``, ``num_heads`` of the base transformer.
        super_resolution: the same of the super-resolution transformer, with ``num_low_resolution_layers`` and ``num_steps``;
            ``upsampling`` is how many of its tokens stand for a base token along each axis.
        vqgan: arguments of VQModel, of the super-resolution tokens.
        max_text_tokens: tokens that a prompt is padded or cut to.
        temperature: of the noise on sureness at the first step; it falls to 0 linearly.
    """

    family: ClassVar[str] = "transformer_masked"
    media: ClassVar[str] = "image"
    attention_rules: ClassVar = (
        # Every token of the text attends to every other: one sequence that holds all there is.
        AttentionRule(r"^text_encoder\..*\.SelfAttention$", "joint"),
        AttentionRule(r"\.cross_attention$", "cross"),
        AttentionRule(r"\.self_attention$", "spatial"),
        AttentionRule(r"^decoder\..*mid_block\.attentions\.\d+$", "spatial"),
    )
    slicing_recipes: ClassVar = SLICING_RECIPES

    def __init__(
        self,
        text_encoder: Mapping[str, Any],
        base: Mapping[str, Any],
        super_resolution: Mapping[str, Any],
        vqgan: Mapping[str, Any],
        max_text_tokens: int,
        temperature: float,
        *,
        request: Request,
        weights: Weights,
        placement: Placement,
    ) -> None:
        refuse(request, "muse", "num_frames")
        self.request = request
        self.placement = placement
        self.max_text_tokens = max_text_tokens
        self.temperature = temperature
        pixels, upsampling = pixels_per_token(vqgan), super_resolution["upsampling"]
        sides = [request.require_multiple(key, pixels * upsampling) // pixels for key in ("height", "width")]
        self.grid = (sides[0], sides[1])
        self.base_grid = (sides[0] // upsampling, sides[1] // upsampling)
        _ = self.base_schedule  # refuses more steps than there are tokens
        self.super_resolution_schedule = cosine_schedule(prod(self.grid), super_resolution["num_steps"])
        with seeded_construction(placement, weights.seed):
            self.parts = self._build(text_encoder, base, super_resolution, vqgan)
        if weights.pretrained:
            self.tokenizer = load_parts(self.parts, weights)
        else:
            self.tokenizer = byte_tokenizer(max_text_tokens)
            self.notes = (NOTE,)
        mark_calls(self.parts["denoiser"], DENOISER_FORWARD)

    def _build(
        self,
        text_encoder: Mapping[str, Any],
        base: Mapping[str, Any],
        super_resolution: Mapping[str, Any],
        vqgan: Mapping[str, Any],
    ) -> dict[str, nn.Module]:
        own = ("num_low_resolution_layers", "num_steps", "upsampling")
        blocks = {key: value for key, value in super_resolution.items() if key not in own}
        encoder = blocks | {
            "num_layers": super_resolution["num_low_resolution_layers"],
            "codebook_size": base["codebook_size"],
        }
        text_width = text_encoder["d_model"]
        parts = {
            "text_encoder": T5EncoderModel(T5Config(**text_encoder)),
            "denoiser": MaskedTransformer(self.base_grid, text_width=text_width, **base),
            "super_resolution": nn.ModuleDict(
                {
                    "encoder": LowResolutionEncoder(self.base_grid, **encoder),
                    "transformer": MaskedTransformer(self.grid, text_width=text_width, **blocks),
                }
            ),
            "decoder": VQGANDecoder(vqgan),
        }
        for part in parts.values():
            redraw_zero_weights(part.eval())
        return parts

    @property
    def base_schedule(self) -> list[int]:
        """How many of the base's tokens become known in each step."""
        return cosine_schedule(prod(self.base_grid), self.request.require_multiple("num_inference_steps", 1))

    @torch.inference_mode()
    def generate(self) -> Tensor:
        """Images ``[batch_size, 3, H, W]`` in [0, 1]."""
        generator = torch.Generator(self.placement.device).manual_seed(self.request.seed)
        with stage("text_encode"):
            text_BTE = self.encode_text()
        base_BN = self.fill_base(text_BTE, generator)
        with stage("super_resolve"):
            tokens_BN = self.fill_super_resolution(base_BN, text_BTE, generator)
        with stage("decode"):
            return self.parts["decoder"](tokens_BN.unflatten(1, self.grid))

    def encode_text(self) -> Tensor:
        """``[B, T, E]``; padding is attended to like text, since a mask would shut out the Flash kernel."""
        prompts = guided_prompts(self.request)
        encoder, device = self.parts["text_encoder"], self.placement.device
        return encode_text(encoder, self.tokenizer, prompts, self.max_text_tokens, device)[0]

    def fill_base(self, text_BTE: Tensor, generator: torch.Generator) -> Tensor:
        """The base's tokens ``[batch_size, N]``."""
        transformer = self.parts["denoiser"]
        predict = partial(transformer, text_BTE=text_BTE)
        return self._fill(predict, transformer.mask, self.base_schedule, generator, partial(stage, "denoise_step"))

    def fill_super_resolution(self, base_BN: Tensor, text_BTE: Tensor, generator: torch.Generator) -> Tensor:
        """The super-resolution tokens ``[batch_size, N]``. The base's tokens are encoded once, for all steps."""
        encoder, transformer = self.parts["super_resolution"]["encoder"], self.parts["super_resolution"]["transformer"]
        encoded_BSD = encoder(base_BN)
        if self.request.guided:
            encoded_BSD = encoded_BSD.repeat(2, 1, 1)
        predict = partial(transformer, text_BTE=text_BTE, beside_BSD=encoded_BSD)
        return self._fill(predict, transformer.mask, self.super_resolution_schedule, generator)

    def _fill(
        self,
        predict: Callable[[Tensor], Tensor],
        mask: int,
        schedule: list[int],
        generator: torch.Generator,
        around: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> Tensor:
        tokens_BN = torch.full((self.request.batch_size, sum(schedule)), mask, device=self.placement.device)
        guidance = self.guidance(len(schedule))
        return fill(predict, tokens_BN, mask, schedule, guidance, self.temperature, generator, around)

    def guidance(self, num_steps: int) -> list[float] | None:
        """The scale grows linearly to the request's over the steps, for more diversity (section 2.7 of the paper)."""
        scale = self.request.guidance_scale
        if scale is None or not self.request.guided:
            return None
        return [1 + (scale - 1) * (step + 1) / num_steps for step in range(num_steps)]

    def save(self, output: Tensor, folder: Path) -> list[Path]:
        return save_images(output, folder)
