"""How C-ViViT's decoder computes slice by slice: two groups, since time and frames are taken apart.

    [codes, positions, blocks along time] by places in a frame | [blocks within frames, norm, patches] by tokens along time

Shape suffixes: see workloads.c_vivit; t and s some of the tokens along time and within a frame.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

from suite.slicing.plan import SlicePlan, cuts
from suite.slicing.recipe import Recipe, by_class
from suite.slicing.sliced import computing_slice, sliced
from workloads.c_vivit import CHANNELS, CViViTDecoder, in_unit_range
from workloads.sliced_transformer import RECIPE


def run_decoder(decoder: CViViTDecoder, plan: SlicePlan, tokens_BN: Tensor) -> Tensor:
    """Videos ``[B, F, C, H, W]`` in [0, 1]; between tokens and pixels only the tokens' features are whole."""
    times, rows, columns = decoder.grid
    positions_TSD = decoder.positions().view(times, rows * columns, -1)
    elements = tokens_BN.numel() * positions_TSD.shape[-1]

    def along_time(tokens_BTs: Tensor, positions_1Ts: Tensor) -> Tensor:
        x_BTsD = decoder.from_code(decoder.codebook(tokens_BTs)) + positions_1Ts
        x_BsTD = x_BTsD.transpose(1, 2)
        return chained(decoder.temporal, x_BsTD.flatten(0, 1)).view(x_BsTD.shape).transpose(1, 2)

    x_BTSD = sliced(
        along_time,
        [tokens_BN.view(-1, times, rows * columns), positions_TSD[None]],
        2,
        plan.affordable(plan.pixel_slices, elements),
    )
    frames = 1 + (times - 1) * decoder.frames_per_token
    side = decoder.patch_size
    videos = x_BTSD.new_empty(len(tokens_BN), frames, CHANNELS, rows * side, columns * side)
    for start, stop in cuts(times, plan.affordable(plan.frame_slices, videos.numel())):
        with computing_slice():
            write_frames(decoder, x_BTSD[:, start:stop], start, videos)
    return videos


def write_frames(decoder: CViViTDecoder, x_BtSD: Tensor, first: int, videos_BFCHW: Tensor) -> None:
    """The frames that some tokens along time, beginning with number `first`, stand for."""
    x_btSD = chained(decoder.spatial, x_BtSD.flatten(0, 1))
    x_BtSD = decoder.norm(x_btSD).view(x_BtSD.shape)
    per_token = decoder.frames_per_token
    if first == 0:
        videos_BFCHW[:, :1] = in_unit_range(decoder.frames(decoder.to_first_frame(x_BtSD[:, :1]), 1))
        x_BtSD, first = x_BtSD[:, 1:], 1
    if x_BtSD.shape[1]:
        frames_BFCHW = decoder.frames(decoder.to_frames(x_BtSD), per_token)
        begin = 1 + (first - 1) * per_token
        videos_BFCHW[:, begin : begin + frames_BFCHW.shape[1]] = in_unit_range(frames_BFCHW)


def chained(blocks: Iterable[nn.Module], x: Tensor) -> Tensor:
    for block in blocks:
        x = block(x)
    return x


SLICING_RECIPES = by_class((Recipe(CViViTDecoder, run_decoder), RECIPE))
