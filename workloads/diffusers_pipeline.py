"""Workloads that drive a diffusers pipeline: its parts, its stages, its attention, all found from its components.

The pipeline's own ``__call__`` runs, unchanged; it is the denoising loop that users run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from suite.workload import Placement, Request, Weights, Workload
from workloads.attention_kinds import attention_rules
from workloads.components import (
    Description,
    build_pipeline,
    find_class,
    load_pretrained,
    needs_stand_in,
    require_components,
)
from workloads.media_files import save_images, save_videos
from workloads.pipeline_arguments import (
    IMAGE_NOTE,
    NO_ARGUMENTS,
    call_parameters,
    check_call_arguments,
    check_request,
    completed,
    makes_video,
    pipeline_arguments,
    temporal_compression,
)
from workloads.pipeline_parts import find_parts, single
from workloads.pipeline_stages import PipelineStages
from workloads.tokenizer import NOTE


class DiffusersWorkload(Workload):
    """Any diffusers pipeline that makes images or videos.

    Args:
        pipeline: on its device, in its data type.
        arguments: more keyword arguments of the pipeline's ``__call__``, which belong to the model.
        call_arguments: the user's, which come before those.

    Raises:
        ConfigError: the pipeline takes no such request or call argument.
    """

    def __init__(
        self,
        pipeline: Any,
        arguments: Mapping[str, Any],
        call_arguments: Mapping[str, Any],
        request: Request,
        placement: Placement,
        notes: Sequence[str],
    ) -> None:
        self.pipeline = pipeline
        self.placement = placement
        check_request(pipeline, request)
        check_call_arguments(pipeline, call_arguments, request)
        self.request = completed(pipeline, request)
        self.extra_arguments = {**arguments, **call_arguments}
        components, unknown = find_parts(pipeline)
        self.parts = {name: single(modules) for name, modules in components.items()}
        for part in self.parts.values():
            part.eval()
        self.media = "video" if makes_video(pipeline) else "image"
        self.family = "diffusion_latent" if "decoder" in components else "diffusion_pixel"
        self.attention_rules = attention_rules(self.parts, self.media)
        image = [IMAGE_NOTE] if "image" in pipeline_arguments(pipeline, self.request, self.extra_arguments) else []
        self.notes = (*notes, *unknown, *image, *_linear_attention(self.parts))
        self.stages = PipelineStages(pipeline, components)

    @property
    def temporal_lengths(self) -> Sequence[int]:
        """Frames, or latent frames where the decoder makes several of each."""
        frames = self.request.num_frames
        if frames is None:
            return ()
        return sorted({frames, (frames - 1) // temporal_compression(self.pipeline) + 1})

    @property
    def num_steps(self) -> int | None:
        """The scheduler's timesteps, which may be more than the request's steps."""
        timesteps = getattr(getattr(self.pipeline, "scheduler", None), "timesteps", None)
        return self.request.num_inference_steps if timesteps is None else len(timesteps)

    def arguments(self) -> dict[str, Any]:
        """What the pipeline is called with."""
        of_this_call = {
            "generator": torch.Generator(self.placement.device).manual_seed(self.request.seed),
            "callback_on_step_end": self.stages.end_of_step,
        }
        accepted = {name: value for name, value in of_this_call.items() if name in call_parameters(self.pipeline)}
        return pipeline_arguments(self.pipeline, self.request, self.extra_arguments) | accepted

    @torch.inference_mode()
    def generate(self) -> torch.Tensor:
        """Images ``[B, C, H, W]`` or videos ``[B, F, C, H, W]`` in [0, 1]."""
        output = self.pipeline(**self.arguments())
        output = output[0] if isinstance(output, tuple) else output
        return torch.from_numpy(output).movedim(-1, -3) if isinstance(output, np.ndarray) else output

    def save(self, output: torch.Tensor, folder: Path) -> list[Path]:
        return (save_videos if self.media == "video" else save_images)(output, folder)


class DiffusersPipeline(DiffusersWorkload):
    """A pipeline that a workload's YAML describes.

    Args:
        pipeline: a class of diffusers, such as ``StableDiffusionPipeline``.
        components: the pipeline's description, see `workloads.components`.
        arguments, call_arguments: as `DiffusersWorkload` takes them.
    """

    standing_notes: ClassVar[Sequence[str]] = ()
    """What a reader must know wherever weights come from."""

    def __init__(
        self,
        pipeline: str,
        components: Description,
        arguments: Mapping[str, Any],
        *,
        request: Request,
        weights: Weights,
        placement: Placement,
        call_arguments: Mapping[str, Any] = NO_ARGUMENTS,
    ) -> None:
        pipeline_class = find_class(f"diffusers.{pipeline}")
        notes = list(self.standing_notes)
        if weights.pretrained:
            built = load_pretrained(pipeline_class, weights, placement, **self.replacements(components, placement))
            require_components(built, components, weights.path)
        else:
            built = build_pipeline(pipeline_class, components, placement, weights.seed)
            notes += [NOTE] if needs_stand_in(components) else []
        super().__init__(built, arguments, call_arguments, request, placement, notes)

    def replacements(self, components: Description, placement: Placement) -> dict[str, Any]:
        """Components that a pretrained pipeline is loaded with instead of its own: those that are left out here."""
        return {name: None for name, value in components.items() if value is None}


def _linear_attention(parts: Mapping[str, nn.Module]) -> list[str]:
    names = {
        type(getattr(module, "processor", module)).__name__ for part in parts.values() for module in part.modules()
    }
    if not any("Linear" in name and ("Attn" in name or "Attention" in name) for name in names):
        return []
    return [
        "Linear attention has no softmax over keys: its products count as linear layers and appear in no table of "
        "attention calls."
    ]
