"""The smallest diffusion transformer of each family that recipes serve, and a call of each. Odd numbers of tokens are usual."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import diffusers
import torch
from optimizations.exactness import normal
from torch import Tensor, nn

HEADS, HEAD_WIDTH, TEXT_WIDTH, POOLED = 2, 16, 24, 12
TEXT_TOKENS = 13
SHARED = {"num_attention_heads": HEADS, "attention_head_dim": HEAD_WIDTH, "in_channels": 4, "out_channels": 4}
SANA = {
    "num_layers": 2, "num_cross_attention_heads": HEADS, "cross_attention_head_dim": HEAD_WIDTH,
    "cross_attention_dim": HEADS * HEAD_WIDTH, "caption_channels": TEXT_WIDTH, "sample_size": 16, "mlp_ratio": 2.5,
}  # fmt: skip

MODELS: Mapping[str, Callable[[], nn.Module]] = {
    "flux": partial(
        diffusers.FluxTransformer2DModel,
        patch_size=1, num_layers=1, num_single_layers=1, joint_attention_dim=TEXT_WIDTH,
        pooled_projection_dim=POOLED, guidance_embeds=True, axes_dims_rope=(4, 6, 6), **SHARED,
    ),
    "sd3": partial(
        diffusers.SD3Transformer2DModel,
        sample_size=32, patch_size=2, num_layers=2, joint_attention_dim=TEXT_WIDTH,
        caption_projection_dim=HEADS * HEAD_WIDTH, pooled_projection_dim=POOLED, pos_embed_max_size=16, **SHARED,
    ),
    "cogvideox": partial(
        diffusers.CogVideoXTransformer3DModel,
        time_embed_dim=12, text_embed_dim=TEXT_WIDTH, num_layers=2, patch_size=2, max_text_seq_length=TEXT_TOKENS,
        use_rotary_positional_embeddings=True, **SHARED,
    ),
    "wan": partial(
        diffusers.WanTransformer3DModel,
        text_dim=TEXT_WIDTH, freq_dim=16, ffn_dim=96, num_layers=2, cross_attn_norm=True, rope_max_seq_len=32, **SHARED,
    ),
    "ltx_video": partial(
        diffusers.LTXVideoTransformer3DModel,
        cross_attention_dim=HEADS * HEAD_WIDTH, num_layers=2, caption_channels=TEXT_WIDTH, **SHARED,
    ),
    "hunyuan_video": partial(
        diffusers.HunyuanVideoTransformer3DModel,
        num_layers=1, num_single_layers=1, num_refiner_layers=1, guidance_embeds=True, text_embed_dim=TEXT_WIDTH,
        pooled_projection_dim=POOLED, rope_axes_dim=(4, 6, 6), **SHARED,
    ),
    "sana": partial(diffusers.SanaTransformer2DModel, **SHARED, **SANA),
    "sana_video": partial(diffusers.SanaVideoTransformer3DModel, **SHARED, **SANA),
}  # fmt: skip


@cache
def made(name: str, dtype: torch.dtype) -> nn.Module:
    """A model with the same weights every time, none of them 0: a gate of 0 would hide what it lets through."""
    torch.manual_seed(0)
    model = MODELS[name]().to(dtype).eval()
    for weight in model.parameters():
        if not weight.any():
            nn.init.normal_(weight, std=0.1)
    return model


def caller(name: str, model: Any, batch_size: int, num_frames: int, height: int, width: int) -> Callable[[], Tensor]:
    """A call of `model` on as many tokens along each axis, whose inputs are the same every time.

    The texts of a batch have different lengths where the model takes a mask.
    """
    torch.manual_seed(1)
    dtype = next(model.proj_out.parameters()).dtype
    randn = partial(normal, dtype=dtype)
    tokens = num_frames * height * width
    given: dict[str, Any] = {"encoder_hidden_states": randn(batch_size, TEXT_TOKENS, TEXT_WIDTH)}
    given |= {"timestep": torch.full((batch_size,), 5)}
    mask = torch.ones(batch_size, TEXT_TOKENS, dtype=torch.int64)
    mask[0, 9:] = 0
    masked, pooled = {"encoder_attention_mask": mask}, {"pooled_projections": randn(batch_size, POOLED)}
    if name == "flux":
        rows, columns = torch.arange(0.0, num_frames * height), torch.arange(0.0, width)
        places = torch.cartesian_prod(torch.zeros(1), rows, columns)
        given |= pooled | {"hidden_states": randn(batch_size, tokens, 4), "guidance": randn(batch_size)}
        given |= {"img_ids": places, "txt_ids": torch.zeros(TEXT_TOKENS, 3)}
    elif name == "sd3":
        given |= pooled | {"hidden_states": randn(batch_size, 4, 2 * height, 2 * width)}
    elif name == "cogvideox":
        given |= {"hidden_states": randn(batch_size, num_frames, 4, 2 * height, 2 * width)}
        given |= {"image_rotary_emb": (randn(tokens, HEAD_WIDTH), randn(tokens, HEAD_WIDTH))}
    elif name == "wan":
        given |= {"hidden_states": randn(batch_size, 4, num_frames, 2 * height, 2 * width)}
    elif name == "ltx_video":
        given |= masked | {"hidden_states": randn(batch_size, tokens, 4)}
        given |= {"num_frames": num_frames, "height": height, "width": width}
    elif name == "hunyuan_video":
        given |= masked | pooled | {"hidden_states": randn(batch_size, 4, num_frames, 2 * height, 2 * width)}
        given |= {"guidance": randn(batch_size)}
    elif name == "sana":
        given |= masked | {"hidden_states": randn(batch_size, 4, height, width)}
    elif name == "sana_video":
        given |= masked | {"hidden_states": randn(batch_size, 4, num_frames, 2 * height, 2 * width)}
    return lambda: model(**given).sample
