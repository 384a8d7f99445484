"""Calls that need not be simulated again.

A denoising loop calls the same module with the same shapes in every step: the second call costs what the first did. A
decoding loop with a key/value cache calls it with a cache that is one token longer each time: every cost is affine in its
length, so two lengths tell all others exactly. Where the rows of two lengths do not match, nothing is assumed.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_leaves

from suite.simulation.lists import Outline, changed_outline, lists_in, outline, refill
from suite.simulation.memory import LiveMemory
from suite.simulation.memory_events import Template, affine_template
from suite.simulation.parts import unobserved
from suite.simulation.tally import Events, Ints, Spell, affine
from suite.workload import call_variant

Signature = tuple[Hashable, ...]


@dataclass(frozen=True)
class Known:
    """What a call cost, did to memory and returned."""

    spell: Spell
    template: Template
    output: Any
    lists: tuple[Outline | None, ...]
    """What it left in each list that it was given, see `suite.simulation.lists`."""


class Call(NamedTuple):
    """What a call is known by, before it is made."""

    signature: Signature
    length: int
    """Of its cache."""
    lists: list[Outline]
    """What was in the lists that it was given."""


@dataclass
class Replay:
    """Remembers what calls cost and returned, by the shapes of their arguments."""

    mode: FakeTensorMode
    memory: LiveMemory
    _known: dict[Signature, dict[int, Known]] = field(default_factory=dict)
    _state: dict[Signature, tuple[int, ...]] = field(default_factory=dict)
    """Blocks that the last call like this one has kept."""

    def find(self, call: Call) -> Known | None:
        """A call like this one, if calls like it tell what it does."""
        known = self._known.get(call.signature, {})
        return known.get(call.length) or self._extrapolate(known, call.length)

    def remember(self, call: Call, args: Any, kwargs: Any, spell: Spell, template: Template, output: Any) -> None:
        """Keep what a call did that has just been simulated; `template` is from the same moment."""
        after = lists_in((args, kwargs))
        lists = tuple(changed_outline(before, items) for before, items in zip(call.lists, after, strict=True))
        self._known.setdefault(call.signature, {})[call.length] = Known(spell, template, output, lists)
        first = self.memory.next_block - template.num_blocks
        self._state[call.signature] = tuple(first + block for block in template.kept)

    def repeat(self, call: Call, known: Known, args: Any, kwargs: Any) -> tuple[Events, Ints]:
        """Do to memory and to caches what the call would have done; returns its events and the ids of its blocks."""
        state = self.memory.still_held(self._state.get(call.signature, ()))
        grown = [self._grow(cache) for cache in _caches((args, kwargs))]
        grown += refill(lists_in((args, kwargs)), known.lists, self._empty)
        events, blocks = self.memory.replay(known.template, state, grown[0] if grown else None)
        self._state[call.signature] = tuple(blocks[list(known.template.kept)].tolist())
        return events, blocks

    def _empty(self, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        with unobserved(), self.mode:
            return torch.empty(shape, dtype=dtype)

    def describe(self, module: nn.Module, args: Any, kwargs: Any, beside: Hashable = None) -> Call:
        """What a call is known by, `beside` included. To be asked before the call itself, which lengthens its cache."""
        leaves = tuple(_leaf(leaf) for leaf in tree_leaves((args, sorted(kwargs.items(), key=lambda item: item[0]))))
        lengths = [cache.get_seq_length() for cache in _caches((args, kwargs))]
        length = lengths[0] if lengths else 0
        # An empty cache is a case of its own: nothing is concatenated, and cross-attention fills its keys.
        signature = (id(module), call_variant(module), beside, bool(length), *leaves)
        return Call(signature, length, [outline(items) for items in lists_in((args, kwargs))])

    def _extrapolate(self, known: dict[int, Known], length: int) -> Known | None:
        if len(known) < 2:
            return None
        (low, first), (high, second) = sorted(known.items())[:2]
        position = (length - low) / (high - low)
        spell = affine(first.spell, second.spell, position)
        template = affine_template(first.template, second.template, position)
        return None if spell is None or template is None else replace(first, spell=spell, template=template)

    def _grow(self, cache: Any) -> torch.Tensor:
        """A cache as the skipped call would have left it: one token longer. Returns a tensor that lives as long as it does."""
        longer: dict[Any, torch.Tensor] = {}
        for layer in cache.layers:
            for name in ("keys", "values"):
                held = getattr(layer, name)
                shape = (*held.shape[:-2], held.shape[-2] + 1, held.shape[-1])
                if (shape, held.dtype) not in longer:
                    longer[shape, held.dtype] = self._empty(shape, held.dtype)
                setattr(layer, name, longer[shape, held.dtype])
        return cache.layers[0].keys


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
