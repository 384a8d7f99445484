"""The decoding half of a VQGAN (Esser et al. 2021, arXiv 2012.09841): a grid of codebook entries to pixels.

Built from diffusers' VQModel, whose encoder is of no use when images are generated.

Shape suffixes: B batch, R C rows and columns of tokens, H W of pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffusers import VQModel
from torch import Tensor, nn


class VQGANDecoder(nn.Module):
    """Tokens to pixels by convolution.

    Args:
        config: arguments of VQModel.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        model = VQModel(**config)
        self.codebook = model.quantize.embedding
        self.post_quant_conv = model.post_quant_conv
        self.decoder = model.decoder

    def forward(self, tokens_BRC: Tensor) -> Tensor:
        """Images ``[B, 3, H, W]`` in [0, 1]."""
        entries_BERC = self.codebook(tokens_BRC).movedim(-1, 1).contiguous()
        pixels_BCHW = self.decoder(self.post_quant_conv(entries_BERC))
        return (pixels_BCHW / 2 + 0.5).clamp(0, 1)


def pixels_per_token(config: Mapping[str, Any]) -> int:
    """Pixels along each axis that a token stands for."""
    return 2 ** (len(config["block_out_channels"]) - 1)
