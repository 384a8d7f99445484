"""Decoders of VAEs: an image decoder is one group; the temporal one is runs of frames between temporal residual halves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from diffusers.models.autoencoders.autoencoder_kl_temporal_decoder import TemporalDecoder
from diffusers.models.autoencoders.vae import Decoder
from torch import Tensor

from suite.optimizations.grouping.temporal import by_pixels
from suite.optimizations.grouping.temporal_resnet import block_of, run_temporal_resnet, volume_of
from suite.slicing.plan import SlicePlan
from suite.slicing.recipe import Recipe, stock
from suite.slicing.sliced import sliced

FINENESS = 4
"""A decoder's features have up to 64 times a U-Net's pixels, so temporal work is cut this much finer."""


def run_decoder(module: Any, plan: SlicePlan, sample: Tensor, latent_embeds: Tensor | None = None) -> Tensor:
    """One image after another through the whole decoder."""
    if latent_embeds is not None:
        return stock(module, sample, latent_embeds)
    return sliced(lambda x: stock(module, x), [sample], 0, _one_at_a_time(plan, sample))


class Run(NamedTuple):
    """Spatial operators that follow each other, up to and including the spatial half of `resnet`; after the last: none."""

    operators: Sequence[Callable[[Tensor], Tensor]]
    resnet: Any
    keeps_shape: bool


def run_temporal_decoder(
    module: Any, plan: SlicePlan, sample: Tensor, image_only_indicator: Tensor, num_frames: int = 1
) -> Tensor:
    """One frame after another through each run, then the temporal half of its residual block by pixels, in place."""
    x = sample
    for operators, resnet, keeps_shape in _runs(module):
        x = sliced(chained(operators), [x], 0, _one_at_a_time(plan, x), out=x if keeps_shape else None)
        if resnet is not None:
            x = run_temporal_resnet(resnet, plan, x, None, image_only_indicator, FINENESS)

    def through_time(block: Tensor) -> Tensor:
        return block_of(module.time_conv_out(volume_of(block)))

    return by_pixels(plan, through_time, (x,), num_frames, torch.empty_like(x))


def chained(operators: Sequence[Callable[[Tensor], Tensor]]) -> Callable[[Tensor], Tensor]:
    """One after another, none of the tensors between them kept alive."""

    def run(x: Tensor) -> Tensor:
        for operator in operators:
            x = operator(x)
        return x

    return run


def _runs(module: Any) -> Iterator[Run]:
    first, *others = module.mid_block.resnets
    yield _run([module.conv_in], first)
    for attention, resnet in zip(module.mid_block.attentions, others, strict=False):
        yield _run([attention], resnet)
    before: list[Any] = [lambda x: x.to(next(module.up_blocks.parameters()).dtype)]
    for block in module.up_blocks:
        for resnet in block.resnets:
            yield _run(before, resnet)
            before = []
        before = [*(block.upsamplers or ())]
    yield Run([*before, module.conv_norm_out, module.conv_act, module.conv_out], None, False)


def _run(before: Sequence[Any], resnet: Any) -> Run:
    spatial = resnet.spatial_res_block
    keeps_shape = not before and spatial.in_channels == spatial.out_channels
    return Run([*before, lambda x: spatial(x, None)], resnet, keeps_shape)


def _one_at_a_time(plan: SlicePlan, rows: Tensor) -> int:
    return rows.shape[0] if plan.frame_slices > 1 else 1


RECIPES = (Recipe(Decoder, run_decoder), Recipe(TemporalDecoder, run_temporal_decoder))
