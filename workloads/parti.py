"""Parti: text to image as translation into image tokens (Yu et al. 2022, arXiv 2206.10789).

A text encoder; an autoregressive decoder of image tokens with a key/value cache, one token a ``decode_step``; the decoder of a
ViT-VQGAN, which turns the grid of tokens into pixels (``decode``); and a convolutional super-resolution (``super_resolve``).

Shape suffixes: B batch (doubled under guidance), T text tokens, N image tokens so far, V codebook entries, D width,
C channels, H W pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import DynamicCache, EncoderDecoderCache, T5Config, T5EncoderModel

from suite.attribution.scopes import AttentionRule
from suite.stage import DENOISER_FORWARD, mark_calls, stage
from suite.workload import Placement, Request, Weights, Workload
from workloads.media_files import save_images
from workloads.part_files import load_parts
from workloads.random_weights import redraw_zero_weights, seeded_construction
from workloads.requests import guide, guided_prompts, refuse
from workloads.sliced_transformer import SLICING_RECIPES
from workloads.t5_text import encode_text
from workloads.tokenizer import NOTE, byte_tokenizer
from workloads.transformer import GridPositions, TransformerBlock
from workloads.vit_vqgan import ViTVQGANDecoder
from workloads.wdsr import WDSR


class ImageTokenDecoder(nn.Module):
    """Predicts the next image token from those before it and from the encoded text.

    Args:
        grid: rows and columns of an image's tokens.
        codebook_size: entries a token may be; one more stands for the start.
        width: of a token, and of the encoded text.
        mlp_width, num_layers, num_heads: of the blocks.
    """

    def __init__(
        self, grid: tuple[int, int], *, codebook_size: int, width: int, mlp_width: int, num_layers: int, num_heads: int
    ) -> None:
        super().__init__()
        self.start = codebook_size
        self.embed = nn.Embedding(codebook_size + 1, width)
        self.positions = GridPositions(grid, width)
        self.blocks = nn.ModuleList(
            TransformerBlock(width, mlp_width, num_heads, crosses=True, causal=True) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, codebook_size, bias=False)

    def forward(self, tokens_BN: Tensor, context_BTD: Tensor, cache: EncoderDecoderCache | None) -> Tensor:
        """Logits ``[B, V]`` of the token after the last. With a cache only the token that it has not seen is given."""
        num_seen = 0 if cache is None else cache.get_seq_length()
        x_BND = self.embed(tokens_BN) + self.positions()[num_seen : num_seen + tokens_BN.shape[1]]
        for layer, block in enumerate(self.blocks):
            x_BND = block(x_BND, context_BTD, cache, layer)
        return self.head(self.norm(x_BND[:, -1]))


class Parti(Workload):
    """Text to image, one token at a time.

    Args:
        text_encoder: fields of T5Config.
        token_decoder: arguments of ImageTokenDecoder but its grid; ``width`` is the text encoder's, too.
        vit_vqgan: arguments of ViTVQGANDecoder but its grid and its codebook's size.
        super_resolution: arguments of WDSR.
        max_text_tokens: tokens that a prompt is padded or cut to.
        kv_cache: keep keys and values of earlier tokens; without it every step runs over the whole prefix again.
        temperature: of sampling; 0 takes the likeliest token.
    """

    family: ClassVar[str] = "transformer_autoregressive"
    media: ClassVar[str] = "image"
    attention_rules: ClassVar = (
        # Every token of the text attends to every other: one sequence that holds all there is.
        AttentionRule(r"^text_encoder\..*\.SelfAttention$", "joint"),
        AttentionRule(r"^denoiser\..*\.self_attention$", "causal"),
        AttentionRule(r"^denoiser\..*\.cross_attention$", "cross"),
        AttentionRule(r"^decoder\..*\.self_attention$", "spatial"),
    )
    slicing_recipes: ClassVar = SLICING_RECIPES

    def __init__(
        self,
        text_encoder: Mapping[str, Any],
        token_decoder: Mapping[str, Any],
        vit_vqgan: Mapping[str, Any],
        super_resolution: Mapping[str, Any],
        max_text_tokens: int,
        kv_cache: bool,
        temperature: float,
        *,
        request: Request,
        weights: Weights,
        placement: Placement,
    ) -> None:
        # Parti is guided against the empty prompt only.
        refuse(request, "parti", "negative_prompt", "num_frames", "num_inference_steps")
        self.request = request
        self.placement = placement
        self.kv_cache = kv_cache
        self.temperature = temperature
        self.max_text_tokens = max_text_tokens
        pixels = vit_vqgan["patch_size"] * super_resolution["upsampling"]
        self.grid = (
            request.require_multiple("height", pixels) // pixels,
            request.require_multiple("width", pixels) // pixels,
        )
        with seeded_construction(placement, weights.seed):
            self.parts: Mapping[str, nn.Module] = {
                "text_encoder": T5EncoderModel(T5Config(**text_encoder)),
                "denoiser": ImageTokenDecoder(self.grid, **token_decoder),
                "decoder": ViTVQGANDecoder(self.grid, codebook_size=token_decoder["codebook_size"], **vit_vqgan),
                "super_resolution": WDSR(**super_resolution),
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
    def num_image_tokens(self) -> int:
        return prod(self.grid)

    @torch.inference_mode()
    def generate(self) -> Tensor:
        """Images ``[batch_size, 3, H, W]`` in [0, 1]."""
        with stage("text_encode"):
            context_BTD = self.encode_text()
        tokens_BN = self.sample_tokens(context_BTD)
        with stage("decode"):
            small_BCHW = self.parts["decoder"](tokens_BN)
        with stage("super_resolve"):
            large_BCHW = self.parts["super_resolution"](small_BCHW)
        return (large_BCHW / 2 + 0.5).clamp(0, 1)

    def encode_text(self) -> Tensor:
        """``[B, T, D]``; padding is attended to like text, since a mask would shut out the Flash kernel."""
        prompts = guided_prompts(self.request)
        encoder, device = self.parts["text_encoder"], self.placement.device
        return encode_text(encoder, self.tokenizer, prompts, self.max_text_tokens, device)[0]

    def sample_tokens(self, context_BTD: Tensor) -> Tensor:
        """Image tokens ``[batch_size, N]``, drawn one after another in raster order."""
        decoder, guided = self.parts["denoiser"], self.request.guided
        generator = torch.Generator(self.placement.device).manual_seed(self.request.seed)
        tokens_BN = torch.full((self.request.batch_size, 1), decoder.start, device=self.placement.device)
        cache = EncoderDecoderCache(DynamicCache(), DynamicCache()) if self.kv_cache else None
        for _ in range(self.num_image_tokens):
            with stage("decode_step"):
                unseen_BN = tokens_BN[:, -1:] if self.kv_cache else tokens_BN
                logits_BV = decoder(unseen_BN.repeat(2, 1) if guided else unseen_BN, context_BTD, cache)
                if guided:
                    logits_BV = guide(logits_BV, self.request.guidance_scale)
                tokens_BN = torch.cat([tokens_BN, self.draw(logits_BV, generator)], dim=1)
        return tokens_BN[:, 1:]

    def draw(self, logits_BV: Tensor, generator: torch.Generator) -> Tensor:
        """One token ``[batch_size, 1]`` an image."""
        if self.temperature == 0:
            return logits_BV.argmax(dim=-1, keepdim=True)
        probabilities_BV = (logits_BV.float() / self.temperature).softmax(dim=-1)
        return torch.multinomial(probabilities_BV, 1, generator=generator)

    def save(self, output: Tensor, folder: Path) -> list[Path]:
        return save_images(output, folder)
