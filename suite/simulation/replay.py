"""Calls that need not be simulated again.

A denoising loop calls the same module with the same shapes in every step: the second call costs what the first did. A
decoding loop with a key/value cache calls it with a cache that is one token longer each time: every cost is affine in its
length, so two lengths tell all others exactly. Where the rows of two lengths do not match, nothing is assumed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_leaves

from suite.simulation.parts import unobserved
from suite.simulation.tally import Spell, affine
from suite.workload import call_variant

Signature = tuple[Any, ...]


@dataclass
class Replay:
    """Remembers what calls cost and returned, by the shapes of their arguments."""

    mode: FakeTensorMode
    _known: dict[Signature, dict[int, tuple[Spell, Any]]] = field(default_factory=dict)

    def find(self, described: tuple[Signature, int], args: Any, kwargs: Any) -> tuple[Spell, Any] | None:
        """The cost and output of this call, if calls like it tell them; its caches are then as after the call."""
        signature, length = described
        known = self._known.get(signature, {})
        found = known.get(length) or self._extrapolate(known, length)
        if found is not None:
            for cache in _caches((args, kwargs)):
                self._grow(cache)
        return found

    def remember(self, described: tuple[Signature, int], spell: Spell, output: Any) -> None:
        signature, length = described
        self._known.setdefault(signature, {})[length] = (spell, output)

    def describe(self, module: nn.Module, args: Any, kwargs: Any) -> tuple[Signature, int]:
        """What a call is known by. To be asked before the call itself, which lengthens its cache."""
        leaves = tuple(_leaf(leaf) for leaf in tree_leaves((args, sorted(kwargs.items(), key=lambda item: item[0]))))
        lengths = [cache.get_seq_length() for cache in _caches((args, kwargs))]
        length = lengths[0] if lengths else 0
        # An empty cache is a case of its own: nothing is concatenated, and cross-attention fills its keys.
        return (id(module), call_variant(module), bool(length), *leaves), length

    def _extrapolate(self, known: dict[int, tuple[Spell, Any]], length: int) -> tuple[Spell, Any] | None:
        if len(known) < 2:
            return None
        (low, (first, output)), (high, (second, _)) = sorted(known.items())[:2]
        spell = affine(first, second, (length - low) / (high - low))
        return None if spell is None else (spell, output)

    def _grow(self, cache: Any) -> None:
        """A cache as the skipped call would have left it: one token longer."""
        longer: dict[Any, torch.Tensor] = {}
        for layer in cache.layers:
            for name in ("keys", "values"):
                held = getattr(layer, name)
                shape = (*held.shape[:-2], held.shape[-2] + 1, held.shape[-1])
                if (shape, held.dtype) not in longer:
                    with unobserved(), self.mode:
                        longer[shape, held.dtype] = torch.empty(shape, dtype=held.dtype)
                setattr(layer, name, longer[shape, held.dtype])


def _leaf(leaf: Any) -> Any:
    """What of an argument can change shapes: a tensor's own shape, a count or a flag, never a number's exact value."""
    if isinstance(leaf, torch.Tensor):
        return (tuple(leaf.shape), leaf.dtype)
    if isinstance(leaf, (str, bytes, bool, int, type(None))):
        return leaf
    return type(leaf).__name__


def _caches(tree: Any) -> Iterator[Any]:
    """Caches of self-attention among the arguments, told by what they can do: no library's class is named here."""
    for leaf in tree_leaves(tree):
        found = getattr(leaf, "self_attention_cache", leaf)
        if hasattr(found, "get_seq_length") and hasattr(found, "layers"):
            yield found
