"""The decoding half of ViT-VQGAN: a transformer over a grid of image tokens, and one linear map to patches.

Yu et al. 2021 (arXiv 2110.04627). Codes are narrow and of unit length.

Shape suffixes: B batch, N tokens, R Q their rows and columns, D width, C channels, H W pixels, P values of a patch.
"""

from __future__ import annotations

from torch import Tensor, nn

from workloads.transformer import GridPositions, TransformerBlock

CHANNELS = 3


class ViTVQGANDecoder(nn.Module):
    """Tokens to pixels; each token attends to all of its image.

    Args:
        grid: rows and columns of tokens.
        codebook_size, code_width: entries of the codebook and their width.
        width, mlp_width, num_layers, num_heads: of the blocks.
        patch_size: pixels that a token stands for along each side.
    """

    def __init__(
        self,
        grid: tuple[int, int],
        *,
        codebook_size: int,
        code_width: int,
        width: int,
        mlp_width: int,
        num_layers: int,
        num_heads: int,
        patch_size: int,
    ) -> None:
        super().__init__()
        self.grid = grid
        self.patch_size = patch_size
        self.codebook = nn.Embedding(codebook_size, code_width)
        self.from_code = nn.Linear(code_width, width)
        self.positions = GridPositions(grid, width)
        self.blocks = nn.ModuleList(TransformerBlock(width, mlp_width, num_heads) for _ in range(num_layers))
        self.norm = nn.LayerNorm(width)
        self.to_patch = nn.Linear(width, CHANNELS * patch_size**2)

    def forward(self, tokens_BN: Tensor) -> Tensor:
        """Images ``[B, C, H, W]``, in [-1, 1] once trained."""
        codes_BNE = nn.functional.normalize(self.codebook(tokens_BN), dim=-1)
        x_BND = self.from_code(codes_BNE) + self.positions()
        for block in self.blocks:
            x_BND = block(x_BND)
        return self._image(self.to_patch(self.norm(x_BND)))

    def _image(self, patches_BNP: Tensor) -> Tensor:
        """Flat patches ``[B, N, C * height * width]`` put where they belong."""
        side, (rows, columns) = self.patch_size, self.grid
        patches = patches_BNP.view(len(patches_BNP), rows, columns, CHANNELS, side, side)
        return patches.permute(0, 3, 1, 4, 2, 5).reshape(len(patches_BNP), CHANNELS, rows * side, columns * side)
