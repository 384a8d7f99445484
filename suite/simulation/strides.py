"""Strides that fake operators get wrong: a convolution reads its input's order off them, and so do copies.

Found by comparing fake runs with real ones of torch 2.13; both end in how a channels-last image of one picture looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor

from suite.simulation.cuda_scratch import LAST, is_channels_last
from suite.simulation.scratch import CONVOLUTIONS, is_by_matrix_product

VIEWS = ("aten::view", "aten::_unsafe_view")


ORDERED_COPIES = ("aten::clone", "aten::_to_copy")
"""Element by element, too, but asked for an order."""
GROUP_NORM = "aten::native_group_norm"


def as_real(device: str, function: Any, args: Sequence[Any], output: Any) -> Any:
    """`output` of a fake operator with the strides that a real one on `device` would have."""
    operator = function._schema.name
    if operator == GROUP_NORM:  # a CPU keeps its input's order, a GPU knows one
        normalized = _like(args[0], output[0]) if device == "cpu" else _ordered(output[0], torch.contiguous_format)
        return (normalized, *output[1:])
    if not isinstance(output, FakeTensor):
        return output
    if 1 in output.shape and torch.Tag.pointwise in function.tags and operator not in ORDERED_COPIES:
        images = [arg for arg in args if isinstance(arg, torch.Tensor) and arg.shape == output.shape]
        same = len({image.stride() for image in images}) == 1
        return _like(images[0], output) if same else output
    if operator in VIEWS and 1 in output.shape:
        strides = view_strides(args[0].shape, args[0].stride(), output.shape)
        if strides is not None and strides != output.stride():
            return output.as_strided(output.shape, strides)
    return _convolved(device, args, output) if operator in CONVOLUTIONS else output


def _convolved(device: str, args: Sequence[Any], output: torch.Tensor) -> torch.Tensor:
    """A GPU's is channels last if its image or its weight is, a CPU's in order where it is made by matrix product."""
    if device == "cpu":
        return _ordered(output, torch.contiguous_format) if is_by_matrix_product(args) else output
    last = is_channels_last(args[0]) or is_channels_last(args[1])
    return _ordered(output, LAST[output.dim()] if last else torch.contiguous_format)


def _ordered(output: torch.Tensor, order: torch.memory_format) -> torch.Tensor:
    return output if output.is_contiguous(memory_format=order) else torch.empty_like(output, memory_format=order)


def _like(image: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
    """`output` with the strides of an image of its shape, where these leave no gaps."""
    if output.stride() == image.stride() or not is_dense(image):
        return output
    return torch.empty_strided(output.shape, image.stride(), dtype=output.dtype, device=output.device)


def is_dense(image: torch.Tensor) -> bool:
    """Whether its elements fill a stretch of memory, each once."""
    dims = sorted((stride, size) for stride, size in zip(image.stride(), image.shape, strict=True) if size > 1)
    reached = 1
    for stride, size in dims:
        if stride != reached:
            return False
        reached *= size
    return True


def view_strides(shape: Sequence[int], strides: Sequence[int], new_shape: Sequence[int]) -> tuple[int, ...] | None:
    """Strides of a view as ATen's computeStride has them; None where it is no view or holds nothing.

    From the innermost dimension on, dimensions that lie in memory without gaps are taken together, and the new ones cut from
    them; a new dimension of length 1 goes with the ones inside it.
    """
    if 0 in shape:
        return None
    found = [0] * len(new_shape)
    place, base, length, cut = len(new_shape) - 1, strides[-1] if strides else 1, 1, 1
    for dim in reversed(range(len(shape))):
        length *= shape[dim]
        is_end = dim == 0 or (shape[dim - 1] != 1 and strides[dim - 1] != length * base)
        if not is_end:
            continue
        while place >= 0 and (cut < length or new_shape[place] == 1):
            found[place] = cut * base
            cut *= new_shape[place]
            place -= 1
        if cut != length:
            return None
        if dim > 0:
            base, length, cut = strides[dim - 1], 1, 1
    return tuple(found) if place == -1 else None
