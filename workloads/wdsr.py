"""Super-resolution by convolution alone: wide activations, and pixels shuffled out of channels at the end.

WDSR (Yu et al. 2018, arXiv 1808.08718), which Parti puts behind its image tokens.

Shape suffixes: B batch, C channels, H W pixels.
"""

from __future__ import annotations

from torch import Tensor, nn


class WideBlock(nn.Module):
    """Two 3 x 3 convolutions, four times as wide between them, added to the input.

    Args:
        width: channels of the input.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.widen = nn.Conv2d(width, 4 * width, 3, padding=1)
        self.activation = nn.ReLU()
        self.narrow = nn.Conv2d(4 * width, width, 3, padding=1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """``[B, C, H, W]``."""
        return x_BCHW + self.narrow(self.activation(self.widen(x_BCHW)))


class WDSR(nn.Module):
    """Larger images: all work is done at the small size, beside a short way of a single convolution.

    Args:
        width: channels of the blocks.
        num_blocks: one after another.
        upsampling: how many times as high and wide the output is.
    """

    def __init__(self, width: int, num_blocks: int, upsampling: int) -> None:
        super().__init__()
        shuffled = 3 * upsampling**2
        self.conv_in = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.ModuleList(WideBlock(width) for _ in range(num_blocks))
        self.conv_out = nn.Conv2d(width, shuffled, 3, padding=1)
        self.short_way = nn.Conv2d(3, shuffled, 5, padding=2)
        self.shuffle = nn.PixelShuffle(upsampling)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """``[B, 3, upsampling * H, upsampling * W]``."""
        features = self.conv_in(x_BCHW)
        for block in self.blocks:
            features = block(features)
        return self.shuffle(self.conv_out(features) + self.short_way(x_BCHW))
