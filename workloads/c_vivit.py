"""The decoding half of C-ViViT, Phenaki's video tokenizer: tokens of a video to its frames, causal in time.

Villegas et al. 2022 (arXiv 2210.02399, section 2.1): the encoder upside down. The first frame is tokenized alone; every
further row of tokens along time stands for several frames, so that T rows are ``1 + (T - 1) * frames_per_token`` frames.

Shape suffixes: B batch, N tokens of a video, T S its tokens along time and within a frame, D width, F frames, C channels,
H W pixels, R Q rows and columns of patches.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from workloads.transformer import GridPositions, TransformerBlock

CHANNELS = 3


class CViViTDecoder(nn.Module):
    """Tokens to pixels: a causal transformer along time, a transformer within frames, one linear map to patches.

    Args:
        grid: tokens along time, rows and columns.
        codebook_size, code_width: entries of the codebook and their width.
        width, mlp_width, num_heads: of the blocks.
        num_temporal_layers, num_spatial_layers: blocks of each transformer.
        frames_per_token: frames that a token after the first row stands for.
        patch_size: pixels that a token stands for along each side.
    """

    def __init__(
        self,
        grid: tuple[int, int, int],
        *,
        codebook_size: int,
        code_width: int,
        width: int,
        mlp_width: int,
        num_heads: int,
        num_temporal_layers: int,
        num_spatial_layers: int,
        frames_per_token: int,
        patch_size: int,
    ) -> None:
        super().__init__()
        self.grid = grid
        self.frames_per_token = frames_per_token
        self.patch_size = patch_size
        self.codebook = nn.Embedding(codebook_size, code_width)
        self.from_code = nn.Linear(code_width, width)
        self.positions = GridPositions(grid, width)
        self.temporal = nn.ModuleList(
            TransformerBlock(width, mlp_width, num_heads, causal=True) for _ in range(num_temporal_layers)
        )
        self.spatial = nn.ModuleList(TransformerBlock(width, mlp_width, num_heads) for _ in range(num_spatial_layers))
        self.norm = nn.LayerNorm(width)
        pixels = CHANNELS * patch_size**2
        self.to_first_frame = nn.Linear(width, pixels)
        self.to_frames = nn.Linear(width, pixels * frames_per_token)

    def forward(self, tokens_BN: Tensor) -> Tensor:
        """Videos ``[B, F, C, H, W]`` in [0, 1]."""
        batch, (times, rows, columns) = len(tokens_BN), self.grid
        x_BND = self.from_code(self.codebook(tokens_BN)) + self.positions()

        x_bTD = x_BND.unflatten(1, (times, rows * columns)).transpose(1, 2).flatten(0, 1)  # b is B * S
        for block in self.temporal:
            x_bTD = block(x_bTD)
        x_bSD = x_bTD.unflatten(0, (batch, rows * columns)).transpose(1, 2).flatten(0, 1)  # b is B * T
        for block in self.spatial:
            x_bSD = block(x_bSD)

        x_BTSD = self.norm(x_bSD).unflatten(0, (batch, times))
        first_BFCHW = self.frames(self.to_first_frame(x_BTSD[:, :1]), 1)
        rest_BFCHW = self.frames(self.to_frames(x_BTSD[:, 1:]), self.frames_per_token)
        videos_BFCHW = torch.cat([first_BFCHW, rest_BFCHW], dim=1)
        return in_unit_range(videos_BFCHW)

    def frames(self, patches_BTSP: Tensor, frames_per_token: int) -> Tensor:
        """Flat patches ``[B, T, S, frames * C * height * width]`` put where they belong: ``[B, F, C, H, W]``."""
        side = self.patch_size
        batch, times = patches_BTSP.shape[:2]
        rows, columns = self.grid[1:]
        patches = patches_BTSP.view(batch, times, rows, columns, frames_per_token, CHANNELS, side, side)
        frames = patches.permute(0, 1, 4, 5, 2, 6, 3, 7)  # B T f C R h Q w
        return frames.reshape(batch, times * frames_per_token, CHANNELS, rows * side, columns * side)


def in_unit_range(videos: Tensor) -> Tensor:
    """From [-1, 1] to [0, 1]; what lies outside is cut off."""
    return (videos / 2 + 0.5).clamp(0, 1)
