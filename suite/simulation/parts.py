"""Fake inside a part, real between parts.

Pipelines and samplers read values (a scheduler's timesteps, a sampled token), which fake tensors do not have; the models
inside them read none. So every outermost call of a module runs on fake tensors: its inputs become fake, its forward runs with
shapes alone, and real zeros of its output's shape go back to the pipeline. Weights are never allocated.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_map

from suite.simulation.lists import exchange, lists_in
from suite.simulation.strides import is_dense

SealedCall = Callable[[nn.Module, Callable[[], Any], tuple[Any, ...], dict[str, Any]], Any]
"""Called for each outermost module call with the module, the call itself on fake tensors, and its real arguments; returns what
the pipeline gets."""
InnerCall = Callable[[Callable[..., Any], nn.Module, tuple[Any, ...], dict[str, Any]], Any]
"""Called for each module call in a sealed one with ``Module.__call__``, the module and its arguments; gives its output."""


def make_fake(parts: Iterable[nn.Module], mode: FakeTensorMode) -> None:
    """Turn modules built on the meta device into modules on a fake CPU: parameters, buffers and tensors held as attributes."""
    replaced: dict[int, torch.Tensor] = {}

    def fake(tensor: torch.Tensor) -> torch.Tensor:
        if id(tensor) not in replaced:
            with mode:
                replaced[id(tensor)] = torch.empty_strided(
                    tensor.shape, tensor.stride(), dtype=tensor.dtype, device="cpu"
                )
        return replaced[id(tensor)]

    for part in parts:
        for module in part.modules():
            for name, parameter in module._parameters.items():
                if parameter is not None and not isinstance(parameter.data, FakeTensor):
                    module._parameters[name] = nn.Parameter(fake(parameter), requires_grad=False)
            for held in (module._buffers, module.__dict__):
                tensors = {name: value for name, value in held.items() if isinstance(value, torch.Tensor)}
                held.update({name: fake(value) for name, value in tensors.items() if not isinstance(value, FakeTensor)})


@contextmanager
def sealed_modules(
    mode: FakeTensorMode,
    around: SealedCall,
    within: InnerCall | None = None,
    converted: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """While this block runs, outermost calls of modules with fake weights go through `around`, and inner ones `within`.

    `converted` is called whenever a module has exchanged its weights for others.
    """
    plain_call = nn.Module.__call__
    inside = False

    def sealed_call(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        nonlocal inside
        if inside and within is not None:
            return within(plain_call, module, args, kwargs)
        if inside or not has_fake_weights(module):
            return plain_call(module, *args, **kwargs)

        def run() -> Any:
            fake = partial(tree_map, lambda leaf: to_fake(leaf, mode))
            put_back = [exchange(items, fake) for items in lists_in((args, kwargs))]
            fake_args = [arg if isinstance(arg, list) else fake(arg) for arg in args]
            fake_kwargs = {key: arg if isinstance(arg, list) else fake(arg) for key, arg in kwargs.items()}
            with mode:
                output = plain_call(module, *fake_args, **fake_kwargs)
            for put in put_back:
                put()
            return output

        inside = True
        try:
            return tree_map(to_real, around(module, run, args, kwargs))
        finally:
            inside = False

    def converting(self: nn.Module, fn: Callable[..., Any], recurse: bool = True) -> nn.Module:
        module = _converted(self, mode, plain_apply, fn, recurse)
        converted()
        return module

    nn.Module.__call__, plain_apply = sealed_call, nn.Module._apply
    nn.Module._apply = converting
    try:
        yield
    finally:
        nn.Module.__call__, nn.Module._apply = plain_call, plain_apply


def _converted(
    module: nn.Module, mode: FakeTensorMode, plain: Callable[..., nn.Module], convert: Callable[..., Any], *rest: Any
) -> nn.Module:
    """``module.to(...)`` and its like, which cannot exchange the data of a fake parameter: the parameter itself goes."""
    if not has_fake_weights(module):
        return plain(module, convert, *rest)
    with mode:
        for part in module.modules():
            for name, parameter in part._parameters.items():
                if parameter is not None:
                    part._parameters[name] = nn.Parameter(convert(parameter.data), requires_grad=False)
            part._buffers.update({k: convert(held) for k, held in part._buffers.items() if held is not None})
    return module


def has_fake_weights(module: nn.Module) -> bool:
    first = next(module.parameters(), None)
    return isinstance(first if first is None else first.data, FakeTensor)


def to_fake(leaf: Any, mode: FakeTensorMode) -> Any:
    if isinstance(leaf, torch.Tensor) and not isinstance(leaf, FakeTensor):
        return mode.from_tensor(leaf, static_shapes=True)
    return leaf


def unobserved() -> AbstractContextManager[Any]:
    """What the simulation does for itself is no work of the model's: no mode sees it."""
    return _disable_current_modes()


def to_real(leaf: Any) -> Any:
    """Zeros in place of a fake tensor, in its order."""
    if not isinstance(leaf, FakeTensor):
        return leaf
    with unobserved():
        return zeros(geometry(leaf))


class Geometry(NamedTuple):
    """Of a tensor that fills its storage."""

    shape: tuple[int, ...]
    strides: tuple[int, ...] | None
    """None: in order."""
    precision: torch.dtype


def geometry(tensor: torch.Tensor) -> Geometry:
    """Of a copy of a tensor: in its order where that leaves no gaps."""
    return Geometry(tuple(tensor.shape), tensor.stride() if is_dense(tensor) else None, tensor.dtype)


def zeros(one: Geometry) -> torch.Tensor:
    """Of pages that the system hands out only where somebody writes. To be called where no mode sees it."""
    num_bytes = math.prod(one.shape) * one.precision.itemsize
    # Not calloc's: it takes what was freed before, which it has to overwrite.
    pages = torch.frombuffer(mmap.mmap(-1, max(num_bytes, 1)), dtype=torch.uint8)
    flat = pages[:num_bytes].view(one.precision)
    return flat.view(one.shape) if one.strides is None else flat.as_strided(one.shape, one.strides)


def fake_parts(parts: Mapping[str, nn.Module]) -> FakeTensorMode:
    """A mode in which `parts`, built on the meta device, are fake from now on."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    make_fake(parts.values(), mode)
    return mode
