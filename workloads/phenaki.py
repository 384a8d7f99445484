"""Phenaki: text to video by a masked transformer over all of a video's tokens (Villegas et al. 2022, arXiv 2210.02399).

A T5 encoder; a MaskGIT that fills the tokens of all frames together (``denoise_step``), each attending to all of space and
time at once and to the text; the C-ViViT decoder, which takes time and space apart.

Shape suffixes: B batch (doubled under guidance), N tokens of a video, T text tokens, E their width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import prod
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import T5Config, T5EncoderModel

from suite.attribution.scopes import AttentionRule
from suite.errors import ConfigError
from suite.stage import DENOISER_FORWARD, mark_calls, stage
from suite.workload import Placement, Request, Weights, Workload
from workloads.c_vivit import CViViTDecoder
from workloads.maskgit import MaskedTransformer, cosine_schedule, fill
from workloads.media_files import save_videos
from workloads.part_files import load_parts
from workloads.random_weights import redraw_zero_weights, seeded_construction
from workloads.requests import guided_prompts
from workloads.sliced_c_vivit import SLICING_RECIPES
from workloads.t5_text import encode_text
from workloads.tokenizer import NOTE, byte_tokenizer


class Phenaki(Workload):
    """Text to video in one masked decoding.

    Args:
        text_encoder: fields of T5Config.
        maskgit: ``width``, ``mlp_width``, ``num_layers``, ``num_heads`` of the masked transformer.
        c_vivit: arguments of CViViTDecoder but its grid; ``codebook_size`` is that of the masked transformer, too.
        max_text_tokens: tokens that a prompt is padded or cut to.
        temperature: of the noise on sureness before the first step; it falls to 0 linearly.
    """

    family: ClassVar[str] = "transformer_masked"
    media: ClassVar[str] = "video"
    attention_rules: ClassVar = (
        # Text attends to all of itself, and the video to all of space and time: sequences that hold all there is.
        AttentionRule(r"^text_encoder\..*\.SelfAttention$", "joint"),
        AttentionRule(r"^denoiser\..*\.self_attention$", "joint"),
        AttentionRule(r"^denoiser\..*\.cross_attention$", "cross"),
        AttentionRule(r"^decoder\.temporal\..*\.self_attention$", "temporal"),
        AttentionRule(r"^decoder\.spatial\..*\.self_attention$", "spatial"),
    )
    slicing_recipes: ClassVar = SLICING_RECIPES

    def __init__(
        self,
        text_encoder: Mapping[str, Any],
        maskgit: Mapping[str, Any],
        c_vivit: Mapping[str, Any],
        max_text_tokens: int,
        temperature: float,
        *,
        request: Request,
        weights: Weights,
        placement: Placement,
    ) -> None:
        self.request = request
        self.placement = placement
        self.max_text_tokens = max_text_tokens
        self.temperature = temperature
        self.grid = _grid(request, c_vivit["frames_per_token"], c_vivit["patch_size"])
        _ = self.schedule  # refuses more steps than there are tokens
        with seeded_construction(placement, weights.seed):
            self.parts: Mapping[str, nn.Module] = {
                "text_encoder": T5EncoderModel(T5Config(**text_encoder)),
                "denoiser": MaskedTransformer(
                    self.grid, codebook_size=c_vivit["codebook_size"], text_width=text_encoder["d_model"], **maskgit
                ),
                "decoder": CViViTDecoder(self.grid, **c_vivit),
            }
            for part in self.parts.values():
                redraw_zero_weights(part.eval())
        if weights.pretrained:
            self.tokenizer = load_parts(self.parts, weights)
        else:
            self.tokenizer = byte_tokenizer(max_text_tokens)
            self.notes = (NOTE,)
        mark_calls(self.parts["denoiser"], DENOISER_FORWARD)

    @property
    def schedule(self) -> list[int]:
        """How many tokens become known in each step."""
        return cosine_schedule(prod(self.grid), self.request.require_multiple("num_inference_steps", 1))

    @property
    def temporal_lengths(self) -> Sequence[int]:
        """C-ViViT sees rows of tokens along time, the first of one frame and the others of several."""
        return (self.grid[0],)

    @torch.inference_mode()
    def generate(self) -> Tensor:
        """Videos ``[batch_size, F, 3, H, W]`` in [0, 1]."""
        with stage("text_encode"):
            text_BTE = self.encode_text()
        tokens_BN = self.fill(text_BTE)
        with stage("decode"):
            return self.parts["decoder"](tokens_BN)

    def encode_text(self) -> Tensor:
        """``[B, T, E]``; padding is attended to like text, since a mask would shut out the Flash kernel."""
        prompts = guided_prompts(self.request)
        encoder, device = self.parts["text_encoder"], self.placement.device
        return encode_text(encoder, self.tokenizer, prompts, self.max_text_tokens, device)[0]

    def fill(self, text_BTE: Tensor) -> Tensor:
        """The video's tokens ``[batch_size, N]``, in raster order of time, rows and columns."""
        request, transformer = self.request, self.parts["denoiser"]
        generator = torch.Generator(self.placement.device).manual_seed(request.seed)
        masked_BN = torch.full((request.batch_size, prod(self.grid)), transformer.mask, device=self.placement.device)
        guidance = [request.guidance_scale] * len(self.schedule) if request.guided else None
        return fill(
            partial(transformer, text_BTE=text_BTE),
            masked_BN,
            transformer.mask,
            self.schedule,
            guidance,
            self.temperature,
            generator,
            around=partial(stage, "denoise_step"),
        )

    def save(self, output: Tensor, folder: Path) -> list[Path]:
        return save_videos(output, folder)


def _grid(request: Request, frames_per_token: int, patch_size: int) -> tuple[int, int, int]:
    """Tokens along time, rows and columns."""
    frames = request.num_frames
    if frames is None or (frames - 1) % frames_per_token or frames == 1:
        example = 1 + 5 * frames_per_token
        raise ConfigError(
            f"request.num_frames={frames}: one frame and a multiple of {frames_per_token} are needed, such as {example}"
        )
    rows = request.require_multiple("height", patch_size) // patch_size
    columns = request.require_multiple("width", patch_size) // patch_size
    return 1 + (frames - 1) // frames_per_token, rows, columns
