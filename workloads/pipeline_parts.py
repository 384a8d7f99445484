"""Which component of a diffusers pipeline plays which part."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import nn

IGNORED = ("safety_checker", "motion_adapter", "watermarker")
"""Components with weights that draw nothing of the output, or whose layers are the denoiser's own."""
DENOISERS = re.compile(r"^diffusers[.]models[.](unets|transformers|controlnets)[.]")
DECODERS = re.compile(r"^diffusers[.]models[.](autoencoders|vq_model)")
ENCODER_NAMES = re.compile("encoder|bert|embed|proj|connector|adapter")
DENOISER_NAMES = re.compile("unet|transformer|prior|controlnet|denoiser")


def find_parts(pipeline: Any) -> tuple[dict[str, dict[str, nn.Module]], list[str]]:
    """Components by part, each under its own name, and a sentence for each that plays no known part."""
    parts: dict[str, dict[str, nn.Module]] = {"text_encoder": {}, "denoiser": {}, "decoder": {}}
    unknown = []
    for name, component in pipeline.components.items():
        if not isinstance(component, nn.Module) or name in IGNORED:
            continue
        part = _part(name, component)
        if part is None:
            unknown.append(
                f"The pipeline's {name} ({type(component).__name__}) plays no known part: what it does counts where it runs."
            )
        else:
            parts[part][name] = component
    return {part: modules for part, modules in parts.items() if modules}, unknown


def single(modules: Mapping[str, nn.Module]) -> nn.Module:
    """The module that is a part: the only one, or all of them by name."""
    return next(iter(modules.values())) if len(modules) == 1 else nn.ModuleDict(modules)


def _part(name: str, component: nn.Module) -> str | None:
    home = type(component).__module__
    if DECODERS.search(home):
        return "decoder"
    if DENOISERS.search(home):
        return "denoiser"
    if home.startswith("transformers.") or ENCODER_NAMES.search(name):
        return "text_encoder"
    if DENOISER_NAMES.search(name):
        return "denoiser"
    return "decoder" if hasattr(component, "decode") else None
