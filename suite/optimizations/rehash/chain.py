"""What a step of a chain of layers reuses: a transformer's blocks, or the layers of a U-Net that lists them.

    before   layer 0   layer 1   ...   layer n-2   layer n-1   head
                                                       |
                                               rehash: from here on

The denoiser's own forward runs in a reused step, too; layers that need not be computed are answered from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from suite.optimizations.rehash.calls import Call, answer_calls, empty_batch, same_shape
from suite.optimizations.rehash.denoiser import ReusingDenoiser
from suite.workload import LAYERS_IN_ORDER, NotApplicableError, UnsupportedError

BLOCK_LISTS = (
    "transformer_blocks",
    "temporal_transformer_blocks",
    "joint_transformer_blocks",
    "single_transformer_blocks",
    "blocks",
    "layers",
)
"""What transformers call the lists of their blocks."""
ENTRY, ORDER, FIRST, FIRST_NOW, BEFORE_LAST, LAST = "entry", "order", "first", "first_now", "before_last", "last"
CHANGE = "change"
"""Keys of what is kept, beside the layers' own."""


def transformer_blocks(denoiser: nn.Module) -> list[nn.Module]:
    """All blocks of a transformer; none where it has no list of them."""
    lists = [getattr(denoiser, name, None) for name in BLOCK_LISTS]
    return [block for blocks in lists if isinstance(blocks, nn.ModuleList) for block in blocks]


def cut_transformer(blocks: Sequence[nn.Module], reuse: str, denoiser: ReusingDenoiser, undo: ExitStack) -> str:
    """Make reused calls of a transformer run its head only, or its first and its last block as well.

    Raises:
        NotApplicableError: there are too few blocks.
    """
    if reuse != "rehash" and len(blocks) < 3:
        raise NotApplicableError(f"{reuse} needs a transformer of three blocks: this one has {len(blocks)}")
    chain = _Chain(denoiser, same_shape)
    for block in blocks:
        undo.callback(answer_calls(block, partial(chain.around, block, "change" if reuse == "last_layer" else reuse)))
    said = {
        "rehash": "the output of the last block",
        "recursion": "the last block on its own last output",
        "last_layer": "the change that the blocks between the first and the last made",
    }
    return said[reuse]


def cut_unet_layers(unet: Any, reuse: str, denoiser: ReusingDenoiser, undo: ExitStack) -> str:
    """As `suite.optimizations.rehash.unet.cut_unet`, of a U-Net that lists its layers (`LAYERS_IN_ORDER`).

    Raises:
        NotApplicableError: recursion.
    """
    if reuse == "recursion":
        raise NotApplicableError(
            "recursion: the U-Net's last layer takes more than it gives, a skip beside the features"
        )
    entry, *layers = getattr(unet, LAYERS_IN_ORDER)()
    chain = _Chain(denoiser, empty_batch)
    undo.callback(answer_calls(entry, partial(chain.around_entry, entry, reuse)))
    for layer in layers:
        undo.callback(answer_calls(layer, partial(chain.around, layer, "input" if reuse == "last_layer" else reuse)))
    return "the input of the last layer" if reuse == "last_layer" else "the output of the last layer"


class _Chain:
    """Answers the calls of layers.

    Args:
        denoiser: whose layers they are.
        placeholder: what stands for an output that nobody reads the values of.
    """

    def __init__(self, denoiser: ReusingDenoiser, placeholder: Callable[[Any], Any]) -> None:
        self._denoiser = denoiser
        self._placeholder = placeholder

    def around_entry(
        self, entry: nn.Module, reuse: str, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Of the layer that reads the noisy input: its output is the last layer's skip."""
        if reuse == "last_layer":
            return call(*args, **kwargs)
        kept = self._denoiser.pass_through(entry)
        if not self._denoiser.reusing:
            output = call(*args, **kwargs)
            kept[ENTRY] = self._placeholder(output)
            return output
        return kept[ENTRY]

    def around(self, layer: nn.Module, reuse: str, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        kept = self._denoiser.pass_through(layer)
        if not self._denoiser.reusing:
            output = call(*args, **kwargs)
            self._keep(kept, layer, reuse, output)
            return output
        order = kept[ORDER]
        if layer is order[-1]:
            kept[LAST] = kept[LAST] if reuse == "rehash" else call(*args, **kwargs)
            return kept[LAST]
        if layer is order[-2] and reuse != "rehash":
            return _resumed(kept, reuse)
        if layer is order[0] and reuse == "change":
            kept[FIRST_NOW] = call(*args, **kwargs)
            return kept[FIRST_NOW]
        return kept[id(layer)]

    def _keep(self, kept: dict[Hashable, Any], layer: nn.Module, reuse: str, output: Any) -> None:
        """Keep what the last layer gave, and what it got where it will run again; of others their shapes."""
        kept.setdefault(ORDER, []).append(layer)
        kept[id(layer)] = self._placeholder(output)
        if reuse == "change":
            kept.setdefault(FIRST, output)
        if reuse != "rehash":
            kept[BEFORE_LAST] = kept.get(LAST)
        kept[LAST] = output


def _resumed(kept: dict[Hashable, Any], reuse: str) -> Any:
    """What the last layer gets in a reused call."""
    if reuse == "input":
        return kept[BEFORE_LAST]
    if reuse == "recursion":
        # The last block of some transformers gives no text any more.
        return _combined(lambda last, before: before if last is None else last, kept[LAST], kept[BEFORE_LAST])
    if CHANGE not in kept:
        kept[CHANGE] = _combined(_where_tensors(torch.sub), kept.pop(BEFORE_LAST), kept.pop(FIRST))
    return _combined(_where_tensors(torch.add), kept.pop(FIRST_NOW), kept[CHANGE])


def _where_tensors(operation: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Any, Any], Any]:
    return lambda one, other: operation(one, other) if isinstance(one, Tensor) else one


def _combined(operation: Callable[[Any, Any], Any], one: Any, other: Any) -> Any:
    """Two blocks' outputs, leaf by leaf."""
    leaves, structure = tree_flatten(one)
    others, other_structure = tree_flatten(other)
    if structure != other_structure:
        raise UnsupportedError("the transformer's blocks give different things: one cannot go on from another's output")
    return tree_unflatten([operation(*pair) for pair in zip(leaves, others, strict=True)], structure)
