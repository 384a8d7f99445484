"""Which modules of a part do attention, and of which kind, told by how they are built.

An attention module is one that holds its own query projection. Its kind follows from what it was given: text encoders are
causal or see the whole prompt; in a denoiser attention is cross if it was built for a second input or its name says so,
temporal inside a temporal block, joint where its block takes the text in without any cross attention of its own (or where
the frames of a video are one sequence), and spatial otherwise. Shapes are checked against these kinds by the attention probe.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from suite.attribution.scopes import AttentionRule

QUERY_PROJECTIONS = re.compile(
    "to_q|to_qkv|to_qkv_mlp_proj|q_proj|qkv_proj|query|query_key_value|qkv|q|[Ww]qkv|in_proj"
)
TEMPORAL_PATH = re.compile(r"(^|\.)(temp_|temporal_|motion_)")
TEMPORAL_CLASS = re.compile(r"^(Transformer)?Temporal|^TransformerTemporal|^AnimateDiffTransformer3D")
CROSS_NAME = re.compile(r"cross|encdec|^attn2$", re.IGNORECASE)
SEPARATE_TEXT = re.compile(r"(^|\.)(context_refiner|token_refiner|text_refiner|context_embedder|text_[a-z_]*blocks)\.")
"""Blocks of a denoiser that see the text alone."""
SEPARATE_IMAGE = re.compile(r"(^|\.)(noise_refiner|image_refiner)\.")
"""Blocks that see the image alone, in a denoiser that puts text and image in one sequence later."""
TEXT_ARGUMENTS = frozenset(["encoder_hidden_states", "encoder_hidden_states_t5", "context", "text_embed", "txt"])
NEVER_JOINT = re.compile(r"^(Temporal)?BasicTransformerBlock$|^Transformer2DModel$|^TransformerTemporalModel$")
"""Blocks that take the text for a cross attention which they may have been built without."""


@dataclass(frozen=True)
class Found:
    """An attention module inside a part, with the modules around it, outermost first."""

    path: str
    module: nn.Module
    around: tuple[nn.Module, ...]

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2]

    @property
    def block(self) -> nn.Module | None:
        """The transformer block that the module belongs to: the innermost with ``Block`` or ``Layer`` in its class name."""
        named = (m for m in reversed(self.around) if re.search("Block|Layer", type(m).__name__))
        return next(named, self.around[-1] if self.around else None)


def attention_rules(parts: Mapping[str, nn.Module], media: str) -> tuple[AttentionRule, ...]:
    """A rule for every attention module of `parts`; numbers in a path are left open where all of them agree."""
    kinds: dict[str, str] = {}
    for name, part in parts.items():
        found = list(attention_modules(part, name))
        for attention in found:
            kinds[attention.path] = _KIND_OF[name](attention, found, media)
    by_pattern: dict[str, set[str]] = {}
    for path, kind in kinds.items():
        by_pattern.setdefault(_open_pattern(path), set()).add(kind)
    rules = {}
    for path, kind in kinds.items():
        pattern = _open_pattern(path)
        rules[pattern if len(by_pattern[pattern]) == 1 else f"^{re.escape(path)}$"] = kind
    return tuple(AttentionRule(pattern, kind) for pattern, kind in rules.items())


def attention_modules(part: nn.Module, path: str, around: tuple[nn.Module, ...] = ()) -> Iterator[Found]:
    """The outermost modules of a part that hold a query projection of their own."""
    for name, child in part.named_children():
        child_path, child_around = f"{path}.{name}", (*around, part)
        if _projects_queries(child):
            yield Found(child_path, child, child_around)
        else:
            yield from attention_modules(child, child_path, child_around)


def _projects_queries(module: nn.Module) -> bool:
    children = (name for name, _ in module.named_children())
    return isinstance(module, nn.MultiheadAttention) or any(QUERY_PROJECTIONS.fullmatch(name) for name in children)


def _open_pattern(path: str) -> str:
    return f"^{re.sub(r'[.][0-9]+(?=[.]|$)', r'[.][0-9]+', path).replace('.', '[.]').replace('[[.]]', '[.]')}$"


def _encoder_kind(attention: Found, found: list[Found], media: str) -> str:
    del found, media
    owners = " ".join(type(module).__name__ for module in attention.around)
    if re.search("Vision|Visual|Image|ViT", owners):
        return "spatial"
    if CROSS_NAME.search(attention.name):
        return "cross"
    # CLIP asks for a causal mask in its text encoder's forward; its attention layers do not know.
    if "CLIPText" in owners or "ChatGLM" in owners or getattr(attention.module, "is_causal", False):
        return "causal"
    return "joint"


def _denoiser_kind(attention: Found, found: list[Found], media: str) -> str:
    if _is_cross(attention):
        return "cross"
    if _is_temporal(attention):
        return "temporal"
    if SEPARATE_TEXT.search(attention.path) or _takes_text_in(attention, found):
        return "joint"
    factorised = any(_is_temporal(other) for other in found)
    if media == "video" and not factorised:
        return "joint"
    if SEPARATE_IMAGE.search(attention.path):
        return "spatial"
    return "joint" if _text_is_in_the_sequence(attention, found) else "spatial"


def _decoder_kind(attention: Found, found: list[Found], media: str) -> str:
    del found
    owners = " ".join(type(module).__name__ for module in attention.around)
    if "Mochi" in owners or TEMPORAL_PATH.search(attention.path):
        return "temporal"
    # HunyuanVideo's decoders attend over all frames at once, with a mask over later ones.
    return "joint" if "HunyuanVideo" in owners and media == "video" else "spatial"


_KIND_OF = {
    "text_encoder": _encoder_kind,
    "denoiser": _denoiser_kind,
    "super_resolution": _denoiser_kind,
    "decoder": _decoder_kind,
}


def _is_cross(attention: Found) -> bool:
    """Built for a second input. Where only keys of the text are added to its own, the text is what tells it apart."""
    told = getattr(attention.module, "is_cross_attention", None)
    if told is None and isinstance(getattr(attention.module, "cross_attention_dim", None), int):
        told = True if attention.module.cross_attention_dim != getattr(attention.module, "query_dim", None) else None
    if told is not None and not (told is False and "cross" in attention.name.lower()):
        return bool(told)
    is_pooling = "Pool" in type(attention.module).__name__  # one query, made of the text, asks all of it
    return is_pooling or bool(CROSS_NAME.search(attention.name))


def _is_temporal(attention: Found) -> bool:
    owners = (type(module).__name__ for module in attention.around)
    inside = attention.path.partition(".")[2]
    return bool(TEMPORAL_PATH.search(inside)) or any(TEMPORAL_CLASS.search(owner) for owner in owners)


def _takes_text_in(attention: Found, found: list[Found]) -> bool:
    """Whether its block is given the text, has no cross attention for it, and does not give it to an earlier attention."""
    block = attention.block
    if block is None or NEVER_JOINT.search(type(block).__name__) or not _is_given_text(block):
        return False
    neighbours = [other for other in found if other.block is block]
    return neighbours[0] is attention and not any(_is_cross(other) for other in neighbours)


def _text_is_in_the_sequence(attention: Found, found: list[Found]) -> bool:
    """Whether the whole denoiser is given text and has no cross attention anywhere: text and image are one sequence."""
    model = next(module for module in attention.around if not isinstance(module, nn.ModuleDict))
    in_second_place = attention.name == "attn2"
    is_unet = "UNet" in type(model).__name__
    return _is_given_text(model) and not (is_unet or in_second_place or any(_is_cross(other) for other in found))


def _is_given_text(module: Any) -> bool:
    return bool(TEXT_ARGUMENTS & set(inspect.signature(module.forward).parameters))
