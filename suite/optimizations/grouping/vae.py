"""Decoders of VAEs: an image decoder is one group; the temporal one is runs of frames between temporal residual halves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from diffusers.models.autoencoders.autoencoder_kl_temporal_decoder import TemporalDecoder
from diffusers.models.autoencoders.vae import Decoder
from torch import Tensor

from suite.optimizations.grouping.temporal_resnet import run_temporal_resnet
from suite.slicing.plan import SlicePlan
from suite.slicing.recipe import Recipe, stock
from suite.slicing.sliced import computing_slice, sliced

FINENESS = 4
"""A decoder's features have up to 64 times a U-Net's pixels, so temporal work is cut this much finer."""


def run_decoder(module: Any, plan: SlicePlan, sample: Tensor, latent_embeds: Tensor | None = None) -> Tensor:
    """One image after another through the whole decoder."""
    if latent_embeds is not None:
        return stock(module, sample, latent_embeds)
    return sliced(lambda x: stock(module, x), [sample], 0, len(sample) if plan.frame_slices > 1 else 1)


class Run(NamedTuple):
    """Spatial operators that follow each other, up to and including the spatial half of `resnet`; after the last: none."""

    operators: Sequence[Callable[[Tensor], Tensor]]
    resnet: Any


def run_temporal_decoder(
    module: Any, plan: SlicePlan, sample: Tensor, image_only_indicator: Tensor, num_frames: int = 1
) -> Tensor:
    """One video after another; of each one frame after another through each run, and the temporal halves by pixels."""
    output: Tensor | None = None
    for index, video in enumerate(sample.split(num_frames)):
        frames = _decoded_frames(module, plan, video, image_only_indicator[index : index + 1])
        if output is None:
            output = frames[0].new_empty((len(sample), *frames[0].shape[1:]))
        of_video = output[index * num_frames :][:num_frames]
        volume = torch.cat(frames).transpose(0, 1)[None]
        of_video.copy_(module.time_conv_out(volume)[0].transpose(0, 1))
    assert output is not None
    return output


def _decoded_frames(module: Any, plan: SlicePlan, video: Tensor, image_only_indicator: Tensor) -> list[Tensor]:
    """The frames of one video before the last convolution through time.

    They are a list and never one tensor: a frame that has been upsampled is freed before the next one is.
    """
    frames = list(video.split(1)) if plan.frame_slices > 1 else [video]
    for operators, resnet in _runs(module):
        for index, frame in enumerate(frames):
            with computing_slice():
                frames[index] = chained(operators, frame)
            del frame
        if resnet is not None:
            run_temporal_resnet(resnet, plan, frames, None, image_only_indicator, FINENESS)
    return frames


def chained(operators: Sequence[Callable[[Tensor], Tensor]], x: Tensor) -> Tensor:
    """One operator after another, none of the tensors between them kept alive."""
    for operator in operators:
        x = operator(x)
    return x


def _runs(module: Any) -> Iterator[Run]:
    first, *others = module.mid_block.resnets
    yield _run([module.conv_in], first)
    for attention, resnet in zip(module.mid_block.attentions, others, strict=False):
        yield _run([attention], resnet)
    dtype = next(module.up_blocks.parameters()).dtype
    before: list[Any] = [lambda x: x.to(dtype)]
    for block in module.up_blocks:
        for resnet in block.resnets:
            yield _run(before, resnet)
            before = []
        before = [*(block.upsamplers or ())]
    yield Run([*before, module.conv_norm_out, module.conv_act, module.conv_out], None)


def _run(before: Sequence[Any], resnet: Any) -> Run:
    return Run([*before, lambda x: resnet.spatial_res_block(x, None)], resnet)


RECIPES = (Recipe(Decoder, run_decoder, rows_only=True), Recipe(TemporalDecoder, run_temporal_decoder))
