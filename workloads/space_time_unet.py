"""The U-Net that Make-A-Video uses four times: pseudo-3D residual blocks and attention on a pyramid of frame sizes.

It is the U-Net of ADM and DALL-E 2 (Dhariwal & Nichol 2021, arXiv 2105.05233; Ramesh et al. 2022, arXiv 2204.06125) with layers
along time put in; frames are halved and doubled in space only.

Shape suffixes: see workloads.pseudo3d; G channels of a video, S tokens of the condition.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers.models.downsampling import Downsample2D
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn

from workloads.pseudo3d import NORM_GROUPS, PseudoAttention3d, PseudoConv3d, ResBlock


def concatenated(x_bCHW: Tensor, skip_bCHW: Tensor | None) -> Tensor:
    """Along channels."""
    return x_bCHW if skip_bCHW is None else torch.cat([x_bCHW, skip_bCHW], dim=1)


class Layer(nn.Module):
    """A residual block and, at some levels, attention.

    Args:
        block: the residual block.
        attention: after it, if any.
    """

    def __init__(self, block: ResBlock, attention: PseudoAttention3d | None) -> None:
        super().__init__()
        self.block = block
        self.attention = attention

    def forward(
        self,
        x_bCHW: Tensor,
        embedding_bE: Tensor,
        num_frames: int,
        context_bSD: Tensor | None = None,
        skip_bCHW: Tensor | None = None,
    ) -> Tensor:
        """``[B * F, C, H, W]``. A skip is concatenated to the features here, so that its joining can be part of the layer."""
        x_bCHW = concatenated(x_bCHW, skip_bCHW)
        x_bCHW = self.block(x_bCHW, embedding_bE, num_frames)
        return x_bCHW if self.attention is None else self.attention(x_bCHW, num_frames, context_bSD)


class SpaceTimeUNet(nn.Module):
    """Predicts the noise in a video.

    Args:
        in_channels: of the noisy video and whatever is concatenated to it; out come 3.
        channels: of each level, finest first; each level halves the frames' sides.
        num_res_blocks: of each level on the way down; one more on the way up.
        attention: whether each level has attention; the middle has it where the coarsest level has.
        head_width: channels of one head.
        condition_width: of an embedding, and of the tokens beside it, that the video is conditioned on; null for none.
        num_condition_tokens: tokens that the embedding is turned into, to be attended to.
        temporal: whether there are layers along time.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        channels: Sequence[int],
        num_res_blocks: int,
        attention: Sequence[bool],
        head_width: int,
        condition_width: int | None,
        num_condition_tokens: int,
        temporal: bool,
    ) -> None:
        super().__init__()
        self.temporal, self.head_width = temporal, head_width
        self.embedding_width = 4 * channels[0]
        self.crosses = condition_width is not None
        self.num_condition_tokens = num_condition_tokens
        self.frequencies = Timesteps(channels[0], flip_sin_to_cos=True, downscale_freq_shift=0)
        self.embed_timestep = TimestepEmbedding(channels[0], self.embedding_width)
        self.embed_frame_rate = TimestepEmbedding(channels[0], self.embedding_width) if temporal else None
        if condition_width is not None:
            self.embed_condition = nn.Linear(condition_width, self.embedding_width)
            self.to_tokens = nn.Linear(condition_width, num_condition_tokens * condition_width)
        self.context = nn.ModuleList(
            nn.Linear(condition_width, width) if condition_width is not None and attends else nn.Identity()
            for width, attends in zip(channels, attention, strict=True)
        )
        self.conv_in = PseudoConv3d(in_channels, channels[0], temporal)
        self._build(channels, num_res_blocks, attention)
        self.norm_out = nn.GroupNorm(NORM_GROUPS, channels[0])
        self.activation = nn.SiLU()
        self.conv_out = PseudoConv3d(channels[0], 3, temporal)

    def _build(self, channels: Sequence[int], num_res_blocks: int, attention: Sequence[bool]) -> None:
        skipped, width = [channels[0]], channels[0]
        self.down, self.downsample = nn.ModuleList(), nn.ModuleList()
        for level, (level_width, attends) in enumerate(zip(channels, attention, strict=True)):
            layers = nn.ModuleList()
            for _ in range(num_res_blocks):
                layers.append(self._layer(width, level_width, attends))
                width = level_width
                skipped.append(width)
            self.down.append(layers)
            if level + 1 < len(channels):
                self.downsample.append(Downsample2D(width, use_conv=True))
                skipped.append(width)
        self.middle = nn.ModuleList([self._layer(width, width, attention[-1]), self._layer(width, width, False)])
        self.up, self.upsample = nn.ModuleList(), nn.ModuleList()
        for level, (level_width, attends) in reversed(list(enumerate(zip(channels, attention, strict=True)))):
            layers = nn.ModuleList()
            for _ in range(num_res_blocks + 1):
                layers.append(self._layer(width + skipped.pop(), level_width, attends))
                width = level_width
            self.up.append(layers)
            if level > 0:
                self.upsample.append(Upsample2D(width, use_conv=True))

    def _layer(self, in_channels: int, out_channels: int, attends: bool) -> Layer:
        block = ResBlock(in_channels, out_channels, self.embedding_width, self.temporal)
        if not attends:
            return Layer(block, None)
        return Layer(block, PseudoAttention3d(out_channels, self.head_width, self.crosses, self.temporal))

    def layers_in_order(self) -> list[nn.Module]:
        """Layers as `forward` calls them; see `suite.workload.LAYERS_IN_ORDER`."""
        order: list[nn.Module] = [self.conv_in]
        for levels, between in ((self.down, self.downsample), ([self.middle], []), (self.up, self.upsample)):
            for level, layers in enumerate(levels):
                order += [*layers, *between[level : level + 1]]
        return order

    def forward(
        self,
        x_BFGHW: Tensor,
        timestep: Tensor,
        frame_rate: Tensor | None = None,
        condition_BD: Tensor | None = None,
        beside_BSD: Tensor | None = None,
    ) -> Tensor:
        """The noise, ``[B, F, 3, H, W]``.

        Args:
            x_BFGHW: noisy video, and what is concatenated to it.
            timestep: of the diffusion, a scalar.
            frame_rate: frames a second, a scalar.
            condition_BD: the embedding to be conditioned on.
            beside_BSD: tokens to be attended to beside those of the embedding.
        """
        batch, num_frames = x_BFGHW.shape[:2]
        embedding_bE = self._embedding(batch, timestep, frame_rate, condition_BD).repeat_interleave(num_frames, dim=0)
        contexts = self._contexts(num_frames, condition_BD, beside_BSD)

        x_bCHW = self.conv_in(x_BFGHW.flatten(0, 1), num_frames)
        skips = [x_bCHW]
        for level, layers in enumerate(self.down):
            for layer in layers:
                x_bCHW = layer(x_bCHW, embedding_bE, num_frames, contexts[level])
                skips.append(x_bCHW)
            if level < len(self.downsample):
                x_bCHW = self.downsample[level](x_bCHW)
                skips.append(x_bCHW)
        for layer in self.middle:
            x_bCHW = layer(x_bCHW, embedding_bE, num_frames, contexts[-1])
        for level, layers in enumerate(self.up):
            for layer in layers:
                x_bCHW = layer(x_bCHW, embedding_bE, num_frames, contexts[-1 - level], skips.pop())
            if level < len(self.upsample):
                x_bCHW = self.upsample[level](x_bCHW)
        x_bCHW = self.conv_out(self.activation(self.norm_out(x_bCHW)), num_frames)
        return x_bCHW.unflatten(0, (batch, num_frames))

    def _embedding(
        self, batch: int, timestep: Tensor, frame_rate: Tensor | None, condition_BD: Tensor | None
    ) -> Tensor:
        """``[B, E]``: the step of the diffusion, the frame rate and the condition, added up."""
        dtype = self.conv_in.spatial.weight.dtype
        embedding_BE = self.embed_timestep(self.frequencies(timestep.expand(batch)).to(dtype))
        if self.embed_frame_rate is not None and frame_rate is not None:
            embedding_BE = embedding_BE + self.embed_frame_rate(self.frequencies(frame_rate.expand(batch)).to(dtype))
        if self.crosses:
            embedding_BE = embedding_BE + self.embed_condition(condition_BD)
        return embedding_BE

    def _contexts(self, num_frames: int, condition_BD: Tensor | None, beside_BSD: Tensor | None) -> list[Tensor | None]:
        """What frames attend to at each level, ``[B * F, S, C]``: the embedding's tokens, and those beside it."""
        if not self.crosses or condition_BD is None:
            return [None] * len(self.context)
        tokens_BSD = self.to_tokens(condition_BD).unflatten(1, (self.num_condition_tokens, -1))
        if beside_BSD is not None:
            tokens_BSD = torch.cat([tokens_BSD, beside_BSD], dim=1)
        return [project(tokens_BSD).repeat_interleave(num_frames, dim=0) for project in self.context]
