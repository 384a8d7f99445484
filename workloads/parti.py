"""Parti: text to image as translation into image tokens (Yu et al. 2022, arXiv 2206.10789).

A text encoder, an autoregressive decoder of image tokens with a key/value cache, and a VQ decoder that turns the grid of
tokens into pixels. The transformers are T5 blocks (transformers' T5Stack), the VQ decoder is diffusers' VQModel.

Shape suffixes: B batch (doubled under guidance), T text tokens, N image tokens so far, V codebook entries, D width,
C channels, H W rows and columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import VQModel
from torch import Tensor, nn
from transformers import AutoTokenizer, EncoderDecoderCache, PreTrainedTokenizerFast, T5Config, T5EncoderModel
from transformers.cache_utils import DynamicCache
from transformers.models.t5.modeling_t5 import T5Stack

from suite.attribution.scopes import AttentionRule
from suite.errors import ConfigError
from suite.stage import DENOISER_FORWARD, mark_calls, stage
from suite.workload import Placement, Request, Weights, Workload
from workloads.media_files import save_images
from workloads.random_weights import redraw_zero_weights, seeded_construction
from workloads.tokenizer import NOTE, byte_tokenizer


class ImageTokenDecoder(nn.Module):
    """Predicts the next image token from those before it and from the encoded text.

    Args:
        config: of the decoder stack; ``vocab_size`` is the codebook's size plus one for the start token.
    """

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.stack = T5Stack(config)
        self.head = nn.Linear(config.d_model, config.vocab_size - 1, bias=False)

    def forward(
        self, tokens_BN: Tensor, context_BTD: Tensor, mask_BT: Tensor, cache: EncoderDecoderCache | None
    ) -> Tensor:
        """Logits ``[B, V]`` of the token after the last. With a cache only the tokens it has not seen are given."""
        hidden_BND = self.stack(
            input_ids=tokens_BN,
            encoder_hidden_states=context_BTD,
            encoder_attention_mask=mask_BT,
            past_key_values=cache,
            use_cache=cache is not None,
        ).last_hidden_state
        return self.head(hidden_BND[:, -1])


class Parti(Workload):
    """Text to image, one token at a time.

    Args:
        text_encoder: fields of T5Config.
        token_decoder: fields of T5Config; ``vocab_size`` is the codebook's size plus one for the start token.
        vq_decoder: arguments of VQModel; ``num_vq_embeddings`` is the codebook's size.
        max_text_tokens: tokens that a prompt is padded or cut to.
        kv_cache: keep keys and values of earlier tokens; without it every step runs over the whole prefix again.
        temperature: of sampling; 0 takes the likeliest token.
    """

    family: ClassVar[str] = "transformer_autoregressive"
    media: ClassVar[str] = "image"
    attention_rules: ClassVar = (
        # Every token of the text attends to every other: one sequence that holds all there is.
        AttentionRule(r"^text_encoder\..*\.SelfAttention$", "joint"),
        AttentionRule(r"^denoiser\..*\.SelfAttention$", "causal"),
        AttentionRule(r"^denoiser\..*\.EncDecAttention$", "cross"),
        AttentionRule(r"^decoder\..*mid_block\.attentions\.\d+$", "spatial"),
    )

    def __init__(
        self,
        text_encoder: Mapping[str, Any],
        token_decoder: Mapping[str, Any],
        vq_decoder: Mapping[str, Any],
        max_text_tokens: int,
        kv_cache: bool,
        temperature: float,
        *,
        request: Request,
        weights: Weights,
        placement: Placement,
    ) -> None:
        self.request = request
        self.placement = placement
        self.kv_cache = kv_cache
        self.temperature = temperature
        self.max_text_tokens = max_text_tokens
        self.factor = 2 ** (len(vq_decoder["block_out_channels"]) - 1)
        self.grid = (
            request.require_multiple("height", self.factor) // self.factor,
            request.require_multiple("width", self.factor) // self.factor,
        )
        if request.negative_prompt is not None:
            raise ConfigError("request.negative_prompt is set: parti is guided against the empty prompt only (null)")
        if weights.pretrained:
            self.tokenizer, self.parts = _load(weights, placement)
        else:
            self.tokenizer = byte_tokenizer(max_text_tokens)
            self.parts = _build(text_encoder, token_decoder, vq_decoder, placement, weights.seed)
            self.notes = (NOTE,)
        for part in self.parts.values():
            part.eval()
        mark_calls(self.parts["denoiser"], DENOISER_FORWARD)

    @property
    def num_image_tokens(self) -> int:
        return self.grid[0] * self.grid[1]

    @torch.inference_mode()
    def generate(self) -> Tensor:
        """Images ``[B, 3, H, W]`` in [0, 1]."""
        with stage("text_encode"):
            context_BTD, mask_BT = self.encode_text()
        tokens_BN = self.sample_tokens(context_BTD, mask_BT)
        with stage("decode"):
            return self.decode(tokens_BN)

    def encode_text(self) -> tuple[Tensor, Tensor]:
        """The encoded prompts ``[B, T, D]`` and their mask; under guidance the empty prompts come first."""
        prompts = [self.request.prompt] * self.request.batch_size
        if self.request.guided:
            prompts = [""] * self.request.batch_size + prompts
        batch = self.tokenizer(
            prompts, padding="max_length", truncation=True, max_length=self.max_text_tokens, return_tensors="pt"
        ).to(self.placement.device)
        mask_BT = batch["attention_mask"]
        return self.parts["text_encoder"](
            input_ids=batch["input_ids"], attention_mask=mask_BT
        ).last_hidden_state, mask_BT

    def sample_tokens(self, context_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """Image tokens ``[batch_size, N]``, drawn one after another in raster order."""
        decoder = self.parts["denoiser"]
        generator = torch.Generator(self.placement.device).manual_seed(self.request.seed)
        start = decoder.head.out_features  # the entry after the codebook's last
        tokens_BN = torch.full((len(context_BTD), 1), start, device=context_BTD.device)
        cache = EncoderDecoderCache(DynamicCache(), DynamicCache()) if self.kv_cache else None
        for _ in range(self.num_image_tokens):
            with stage("decode_step"):
                unseen_BN = tokens_BN[:, -1:] if self.kv_cache else tokens_BN
                logits_BV = self.guide(decoder(unseen_BN, context_BTD, mask_BT, cache))
                next_B1 = self.draw(logits_BV, generator)
                tokens_BN = torch.cat([tokens_BN, next_B1.repeat(2 if self.request.guided else 1, 1)], dim=1)
        return tokens_BN[: self.request.batch_size, 1:]

    def guide(self, logits_BV: Tensor) -> Tensor:
        """Logits ``[batch_size, V]``, pushed away from those of the empty prompt by the guidance scale."""
        if not self.request.guided:
            return logits_BV
        without_BV, with_BV = logits_BV.chunk(2)
        return without_BV + self.request.guidance_scale * (with_BV - without_BV)

    def draw(self, logits_BV: Tensor, generator: torch.Generator) -> Tensor:
        """One token ``[batch_size, 1]`` an image."""
        if self.temperature == 0:
            return logits_BV.argmax(dim=-1, keepdim=True)
        probabilities_BV = (logits_BV.float() / self.temperature).softmax(dim=-1)
        return torch.multinomial(probabilities_BV, 1, generator=generator)

    def decode(self, tokens_BN: Tensor) -> Tensor:
        """Pixels from a grid of codebook entries."""
        vq = self.parts["decoder"]
        rows, columns = self.grid
        shape = (len(tokens_BN), rows, columns, vq.quantize.vq_embed_dim)
        entries_BCHW = vq.quantize.get_codebook_entry(tokens_BN.reshape(-1), shape)
        pixels_BCHW = vq.decode(entries_BCHW, force_not_quantize=True, return_dict=False)[0]
        return (pixels_BCHW / 2 + 0.5).clamp(0, 1)

    def save(self, output: Tensor, folder: Path) -> list[Path]:
        return save_images(output, folder)


def _build(
    text_encoder: Mapping[str, Any],
    token_decoder: Mapping[str, Any],
    vq_decoder: Mapping[str, Any],
    placement: Placement,
    seed: int,
) -> dict[str, nn.Module]:
    with seeded_construction(placement, seed):
        decoder_config = T5Config(**token_decoder, is_decoder=True, is_encoder_decoder=False, use_cache=True)
        parts = {
            "text_encoder": T5EncoderModel(T5Config(**text_encoder)),
            "denoiser": ImageTokenDecoder(decoder_config),
            "decoder": VQModel(**vq_decoder),
        }
        for part in parts.values():
            redraw_zero_weights(part)
    return parts


def _load(weights: Weights, placement: Placement) -> tuple[PreTrainedTokenizerFast, dict[str, nn.Module]]:
    """Parti's weights were never published; a folder of one's own holds the parts that `save_pretrained` writes."""
    folder = Path(weights.path or "").expanduser()
    missing = [name for name in ("tokenizer", "text_encoder", "denoiser", "decoder") if not (folder / name).is_dir()]
    if missing:
        raise ConfigError(f"weights.path={weights.path}: parti needs the sub-folder {missing[0]} there")
    try:
        config = T5Config.from_pretrained(folder / "denoiser")
        with torch.device(placement.device):
            denoiser = ImageTokenDecoder(config)
        state = torch.load(folder / "denoiser" / "weights.pt", map_location=placement.device, weights_only=True)
        denoiser.load_state_dict(state)
        parts = {
            "text_encoder": T5EncoderModel.from_pretrained(folder / "text_encoder", torch_dtype=placement.dtype),
            "denoiser": denoiser.to(placement.dtype),
            "decoder": VQModel.from_pretrained(folder / "decoder", torch_dtype=placement.dtype),
        }
        tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(f"weights.path={weights.path}: {' '.join(str(error).split())[:300]}") from None
    return tokenizer, {name: part.to(placement.device) for name, part in parts.items()}
