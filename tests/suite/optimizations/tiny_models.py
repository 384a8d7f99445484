"""The smallest models of each family that recipes serve, and a call of each."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLTemporalDecoder,
    UNet2DConditionModel,
    UNetMotionModel,
    UNetSpatioTemporalConditionModel,
)
from optimizations.exactness import normal
from torch import Tensor, nn

WIDTH = 16
"""Of what cross-attention looks at."""


def motion_unet(channels: tuple[int, int] = (32, 64)) -> UNetMotionModel:
    return UNetMotionModel(
        block_out_channels=channels,
        layers_per_block=1,
        norm_num_groups=8,
        down_block_types=("CrossAttnDownBlockMotion", "DownBlockMotion"),
        up_block_types=("UpBlockMotion", "CrossAttnUpBlockMotion"),
        cross_attention_dim=WIDTH,
        num_attention_heads=2,
        motion_num_attention_heads=2,
        motion_max_seq_length=16,
    )


def spatiotemporal_unet(channels: tuple[int, int] = (32, 64)) -> UNetSpatioTemporalConditionModel:
    return UNetSpatioTemporalConditionModel(
        block_out_channels=channels,
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        transformer_layers_per_block=(2, 1),
        num_attention_heads=(2, 4),
        cross_attention_dim=WIDTH,
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=24,
    )


def image_unet(channels: tuple[int, int] = (32, 64)) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        block_out_channels=channels,
        layers_per_block=1,
        norm_num_groups=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=2,
    )


def image_vae(channels: tuple[int, int] = (16, 32)) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=channels,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=8,
    )


def temporal_vae(channels: tuple[int, int] = (32, 64)) -> AutoencoderKLTemporalDecoder:
    return AutoencoderKLTemporalDecoder(
        block_out_channels=channels, layers_per_block=2, down_block_types=("DownEncoderBlock2D",) * 2
    )


MODELS: dict[str, Callable[..., nn.Module]] = {
    maker.__name__: maker for maker in (motion_unet, spatiotemporal_unet, image_unet, image_vae, temporal_vae)
}


def made(name: str, **kwargs: Any) -> nn.Module:
    """A model with weights of its own, the same every time."""
    torch.manual_seed(0)
    return MODELS[name](**kwargs).eval()


def caller(name: str, model: Any, batch_size: int, num_frames: int, height: int, width: int) -> Callable[[], Tensor]:
    """A call of `model`, sizes in latent pixels, whose inputs are the same every time it is called."""
    frames = batch_size * num_frames
    randn = partial(normal, dtype=model.dtype)
    step = torch.tensor(7)
    torch.manual_seed(1)
    if name == "motion_unet":
        x, context = randn(batch_size, 4, num_frames, height, width), randn(frames, 3, WIDTH)
        return lambda: model(x, step, context).sample
    if name == "spatiotemporal_unet":
        x, context = randn(batch_size, num_frames, 8, height, width), randn(batch_size, 1, WIDTH)
        ids = randn(batch_size, 3)
        return lambda: model(x, step, context, ids, return_dict=False)[0]
    if name == "image_unet":
        x, context = randn(batch_size, 4, height, width), randn(batch_size, 3, WIDTH)
        return lambda: model(x, step, context).sample
    latents = randn(frames, 4, height, width)
    timed = {"num_frames": num_frames} if "num_frames" in inspect.signature(model.decode).parameters else {}
    return lambda: model.decode(latents, **timed).sample
