"""Layers over space and time made of layers over space, then layers over time (Make-A-Video, section 3.2).

A pseudo-3D convolution is a 2-D one within each frame and a 1-D one along time; pseudo-3D attention is attention within each
frame and attention along time. Trained on images first, the layers along time start as identity; here they are initialised
like all others, so that they do the work that trained ones do.

Shape suffixes: B videos, F frames, b the frames of all videos (B * F), C channels, H W pixels, P the pixels of a frame (H * W),
S tokens attended to, D their width, E width of the embedding.
"""

from __future__ import annotations

from torch import Tensor, nn

from workloads.transformer import Attention

NORM_GROUPS = 32


def to_time(x_bCHW: Tensor, num_frames: int) -> Tensor:
    """Each pixel through time: ``[B * F, C, H, W]`` -> ``[B * H * W, C, F]``."""
    x_BFCHW = x_bCHW.unflatten(0, (-1, num_frames))
    return x_BFCHW.permute(0, 3, 4, 2, 1).flatten(0, 2)


def to_space(x_pCF: Tensor, height: int, width: int) -> Tensor:
    """Each frame by itself: ``[B * H * W, C, F]`` -> ``[B * F, C, H, W]``."""
    x_BHWCF = x_pCF.unflatten(0, (-1, height, width))
    return x_BHWCF.permute(0, 4, 3, 1, 2).flatten(0, 1)


class PseudoConv3d(nn.Module):
    """A 3 x 3 convolution within frames and, where asked for, one of 3 frames along time.

    Args:
        in_channels, out_channels: of the convolution within frames; the one along time keeps the latter.
        temporal: whether there is one along time.
    """

    def __init__(self, in_channels: int, out_channels: int, temporal: bool) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.temporal = nn.Conv1d(out_channels, out_channels, 3, padding=1) if temporal else None

    def forward(self, x_bCHW: Tensor, num_frames: int) -> Tensor:
        """``[B * F, out_channels, H, W]``."""
        x_bCHW = self.spatial(x_bCHW)
        if self.temporal is None:
            return x_bCHW
        return to_space(self.temporal(to_time(x_bCHW, num_frames)), *x_bCHW.shape[-2:])


class PseudoAttention3d(nn.Module):
    """Attention within frames, to a condition where there is one, and along time; each on normalized input and added to it.

    Args:
        channels: of the feature map.
        head_width: channels of one head.
        crosses: whether there is a condition, of width `channels`.
        temporal: whether there is attention along time.
    """

    def __init__(self, channels: int, head_width: int, crosses: bool, temporal: bool) -> None:
        super().__init__()
        num_heads = max(channels // head_width, 1)
        self.spatial_norm = nn.GroupNorm(NORM_GROUPS, channels)
        self.spatial_attention = Attention(channels, num_heads)
        self.cross_norm = nn.GroupNorm(NORM_GROUPS, channels) if crosses else None
        self.cross_attention = Attention(channels, num_heads) if crosses else None
        self.temporal_norm = nn.GroupNorm(NORM_GROUPS, channels) if temporal else None
        self.temporal_attention = Attention(channels, num_heads) if temporal else None

    def forward(self, x_bCHW: Tensor, num_frames: int, context_bSC: Tensor | None = None) -> Tensor:
        """``[B * F, C, H, W]``; each frame attends to the condition of its video, which is given once a frame."""
        x_bCHW = x_bCHW + self.within_frames(self.spatial_attention, self.spatial_norm(x_bCHW))
        if self.cross_norm is not None and self.cross_attention is not None:
            x_bCHW = x_bCHW + self.within_frames(self.cross_attention, self.cross_norm(x_bCHW), context_bSC)
        if self.temporal_norm is not None and self.temporal_attention is not None:
            x_pFC = to_time(self.temporal_norm(x_bCHW), num_frames).transpose(1, 2)
            x_pCF = self.temporal_attention(x_pFC).transpose(1, 2)
            x_bCHW = x_bCHW + to_space(x_pCF, *x_bCHW.shape[-2:])
        return x_bCHW

    @staticmethod
    def within_frames(attention: Attention, x_bCHW: Tensor, context_bSC: Tensor | None = None) -> Tensor:
        """`attention` of pixels ``[b, C, H, W]`` within their frame, or to a condition."""
        x_bPC = x_bCHW.flatten(2).transpose(1, 2)
        return attention(x_bPC, context_bSC).transpose(1, 2).unflatten(2, x_bCHW.shape[-2:])


class ResBlock(nn.Module):
    """Two pseudo-3D convolutions, scaled and shifted by an embedding of the time step (and whatever is added to that).

    Args:
        in_channels, out_channels: of the feature map.
        embedding_width: of the embedding.
        temporal: whether convolutions reach along time.
    """

    def __init__(self, in_channels: int, out_channels: int, embedding_width: int, temporal: bool) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(NORM_GROUPS, in_channels)
        self.conv1 = PseudoConv3d(in_channels, out_channels, temporal)
        self.scale_shift = nn.Linear(embedding_width, 2 * out_channels)
        self.norm2 = nn.GroupNorm(NORM_GROUPS, out_channels)
        self.conv2 = PseudoConv3d(out_channels, out_channels, temporal)
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()
        self.activation = nn.SiLU()

    def forward(self, x_bCHW: Tensor, embedding_bE: Tensor, num_frames: int) -> Tensor:
        """``[B * F, out_channels, H, W]``."""
        h_bCHW = self.conv1(self.activation(self.norm1(x_bCHW)), num_frames)
        scale_bC11, shift_bC11 = self.scale_shift(self.activation(embedding_bE))[..., None, None].chunk(2, dim=1)
        h_bCHW = self.norm2(h_bCHW) * (1 + scale_bC11) + shift_bC11
        return self.shortcut(x_bCHW) + self.conv2(self.activation(h_bCHW), num_frames)
