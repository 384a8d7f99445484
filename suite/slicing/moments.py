"""Group normalization of a tensor that is never looked at whole: exact statistics from slices.

Every slice gives its mean and its centred sum of squares, in two passes, and these are joined pairwise (Chan, Golub and LeVeque
1983), so no digit is lost where the mean is large; E[x^2] - E[x]^2 would lose them. float32 throughout, float64 for
float64 input.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Moments:
    """Mean and centred sum of squares of `count` elements behind each entry."""

    count: int
    mean: Tensor
    squares: Tensor

    @classmethod
    def of(cls, x: Tensor, num_groups: int) -> Moments:
        """Of each group of each row: `x` is ``[N, C, ...]``, `mean` and `squares` are ``[N, G]``."""
        full = in_full_precision(x)
        grouped = full.reshape(x.shape[0], num_groups, -1)
        mean = grouped.mean(dim=-1)
        # Several times as fast as torch.var_mean on a CPU. What is ours alone is centred in place.
        ours = full is not x
        centred = grouped.sub_(mean.unsqueeze(-1)) if ours else grouped - mean.unsqueeze(-1)
        return cls(grouped.shape[-1], mean, centred.square_().sum(dim=-1))

    def joined(self, other: Moments) -> Moments:
        """Of both together."""
        count = self.count + other.count
        step = other.mean - self.mean
        mean = self.mean + step * (other.count / count)
        squares = self.squares + other.squares + step.square() * (self.count * other.count / count)
        return Moments(count, mean, squares)

    def pooled(self, num_rows: int) -> Moments:
        """Of every `num_rows` consecutive rows together: ``[N * num_rows, G]`` becomes ``[N, G]``."""
        means = self.mean.unflatten(0, (-1, num_rows))
        mean = means.mean(dim=1)
        between = (means - mean.unsqueeze(1)).square().sum(dim=1)
        squares = self.squares.unflatten(0, (-1, num_rows)).sum(dim=1) + between * self.count
        return Moments(self.count * num_rows, mean, squares)

    def affine(self, norm: nn.GroupNorm) -> tuple[Tensor, Tensor]:
        """What `norm` does to each channel with these statistics, ``x * scale + shift``: two tensors ``[N, C]``."""
        repeats = norm.num_channels // norm.num_groups
        deviation = (self.squares / self.count + norm.eps).rsqrt().repeat_interleave(repeats, dim=1)
        mean = self.mean.repeat_interleave(repeats, dim=1)
        if norm.weight is None:
            return deviation, -mean * deviation
        scale = deviation * norm.weight.to(deviation.dtype)
        return scale, norm.bias.to(deviation.dtype) - mean * scale


def moments_of_rows(x: Tensor, num_groups: int, count: int) -> Moments:
    """`Moments.of` a tensor ``[N, C, ...]`` in `count` slices of rows: no temporary is larger than one slice."""
    import torch

    from suite.slicing.plan import cuts

    found = [Moments.of(x[start:stop], num_groups) for start, stop in cuts(x.shape[0], count)]
    return Moments(
        found[0].count, torch.cat([part.mean for part in found]), torch.cat([part.squares for part in found])
    )


def in_full_precision(x: Tensor) -> Tensor:
    """`x` itself where it is float32 or float64, otherwise as float32."""
    import torch

    return x if x.dtype in (torch.float32, torch.float64) else x.float()
