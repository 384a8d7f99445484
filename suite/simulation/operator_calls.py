"""One operator call: what is done about it, the tensors in it, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from enum import Enum, auto
from functools import cache
from typing import Any

import torch

from suite.attribution import taxonomy
from suite.attribution.flops import FORMULAS, flops
from suite.attribution.vector_flops import vector_flops
from suite.simulation.attention_kernels import FAKE_FUSED
from suite.simulation.tally import Cost
from suite.simulation.tiles import attention_tile_flops

COMPOSITE = torch._C.DispatchKey.CompositeImplicitAutograd
"""Operators that are made of others in ATen itself. Python's own decompositions are left alone: no device runs them."""
UNSAFE_VIEW = "aten::_unsafe_view"
"""A view whose schema does not say so."""
ABSOLUTE = ("aten::as_strided",)
"""Takes an offset in the storage: what it returns depends on the offset of what it is given."""


class Kind(Enum):
    """What is done about an operator."""

    NO_WORK = auto()
    COMPOSITE = auto()
    """It is made of others, which are seen one by one."""
    RESHAPING = auto()
    """What it does to tensors cannot be repeated."""
    ORDINARY = auto()


@cache
def kind_of(func: Any) -> Kind:
    """What is done about an operator."""
    name = func._schema.name
    if name.startswith("prim::"):
        return Kind.NO_WORK
    if name not in FORMULAS and torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), COMPOSITE):
        return Kind.COMPOSITE
    return Kind.RESHAPING if torch.Tag.inplace_view in func.tags or name in ABSOLUTE else Kind.ORDINARY


def cost_of(func: Any, args: Any, kwargs: Any, output: Any, scratch_bytes: int = 0) -> tuple[Cost, str | None]:
    """Of a call that returned `output` and needed temporaries, and the number format that it computes in."""
    name = func._schema.name
    moves_nothing = func.is_view or name == UNSAFE_VIEW
    inputs = list(tensors_in((args, kwargs)))
    shapes = [list(arg.shape) if isinstance(arg, torch.Tensor) else [] for arg in args]
    count = flops(name, shapes, args) if name in FORMULAS else None
    vector = vector_flops(name, shapes, args)
    cost = Cost(
        calls=1,
        flops=count or 0,
        vector_flops=vector or 0,
        num_unknown=int(count is None and vector is None and taxonomy.computes(name)),
        bytes_read=0 if moves_nothing else sum(_bytes(tensor) for tensor in inputs),
        bytes_written=0 if moves_nothing else sum(_bytes(tensor) for tensor in tensors_in(output)),
        tile_flops=attention_tile_flops(*shapes[:3]) if count and name == FAKE_FUSED else count or 0,
        copied_bytes=scratch_bytes,
    )
    return cost, next((precision_of(tensor) for tensor in inputs if tensor.is_floating_point()), None)


def tensors_in(tree: Any) -> Iterator[torch.Tensor]:
    """Those in a tree of tuples, lists and dictionaries, in order."""
    if isinstance(tree, torch.Tensor):
        yield tree
    elif isinstance(tree, (tuple, list)):
        for branch in tree:
            yield from tensors_in(branch)
    elif isinstance(tree, dict):
        yield from tensors_in(tuple(tree.values()))


def _bytes(tensor: torch.Tensor) -> int:
    """Of its distinct elements: what is expanded along a dimension is there once."""
    sizes = [size for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride or not size]
    return math.prod(sizes) * tensor.element_size()


def precision_of(tensor: torch.Tensor) -> str:
    """Its number format, such as ``bfloat16``."""
    return str(tensor.dtype).removeprefix("torch.")
