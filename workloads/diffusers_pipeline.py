"""What all workloads that drive a diffusers pipeline share: marks around its parts, its loop and its decoder.

The pipeline's own ``__call__`` runs, unchanged; it is the denoising loop that users run. Marks are put on from outside: text
encoding around ``encode_prompt``, a step from one end-of-step callback to the next, the denoiser's forward and ``vae.decode``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import DiffusionPipeline
from torch import nn

from suite.errors import ConfigError
from suite.stage import DENOISER_FORWARD, StepMarks, mark_calls, stage
from suite.workload import Placement, Request, Weights, Workload
from workloads.media_files import save_images, save_videos


class DiffusersWorkload(Workload):
    """A diffusers pipeline whose denoiser runs in steps and whose VAE decodes once.

    Args:
        pipeline: on its device, in its data type.
        denoiser: name of the pipeline's component that is called in every step.
    """

    decoder_scale: ClassVar[int] = 8
    """Pixels a latent pixel stands for, along each axis: heights and widths must be multiples of it."""

    def __init__(self, pipeline: DiffusionPipeline, denoiser: str, request: Request, placement: Placement) -> None:
        self.pipeline: Any = pipeline
        self.request = request
        self.placement = placement
        self.parts = {
            "text_encoder": self.pipeline.text_encoder,
            "denoiser": getattr(pipeline, denoiser),
            "decoder": self.pipeline.vae,
        }
        for part in self.parts.values():
            part.eval()
        self._steps: StepMarks | None = None
        self._mark()

    def _mark(self) -> None:
        self.pipeline.encode_prompt = _staged("text_encode", self.pipeline.encode_prompt)
        self.pipeline.vae.decode = _staged("decode", self.pipeline.vae.decode)
        self.pipeline.progress_bar = self._loop
        mark_calls(self.parts["denoiser"], DENOISER_FORWARD)

    @contextmanager
    def _loop(self, iterable: object = None, total: int | None = None) -> Iterator[Any]:
        """Stands in for the pipeline's progress bar: it is entered where the loop begins, and left where it ends."""
        self._steps = StepMarks("denoise_step", len(self.pipeline.scheduler.timesteps))
        self._steps.begin()
        try:
            yield _SilentBar()
        finally:
            self._steps.end()
            self._steps = None

    def _end_of_step(self, pipeline: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        if self._steps is not None:
            self._steps.next()
        return tensors

    def arguments(self) -> dict[str, Any]:
        """What the pipeline is called with; subclasses add what is theirs."""
        request = self.request
        negative = None if request.negative_prompt is None else [request.negative_prompt] * request.batch_size
        return {
            "prompt": [request.prompt] * request.batch_size,
            "negative_prompt": negative,
            "height": request.height,
            "width": request.width,
            "num_inference_steps": request.num_inference_steps,
            "guidance_scale": request.guidance_scale,
            "generator": torch.Generator(self.placement.device).manual_seed(request.seed),
            "output_type": "pt",
            "return_dict": False,
            "callback_on_step_end": self._end_of_step,
        }

    @torch.inference_mode()
    def generate(self) -> torch.Tensor:
        return self.pipeline(**self.arguments())[0]

    def save(self, output: torch.Tensor, folder: Path) -> list[Path]:
        return (save_videos if self.media == "video" else save_images)(output, folder)


class _SilentBar:
    """The pipeline reports progress to its bar; a measured run draws none."""

    def update(self, amount: int = 1) -> None:
        del amount


def _staged(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(call)
    def marked(*args: Any, **kwargs: Any) -> Any:
        with stage(name):
            return call(*args, **kwargs)

    return marked


def load_pretrained(
    pipeline_class: type[DiffusionPipeline], weights: Weights, placement: Placement, **components: Any
) -> Any:
    """The pipeline in the user's folder or hub id, with its own components and tokenizer.

    Raises:
        ConfigError: the folder is no such pipeline.
    """
    path = (
        str(Path(weights.path or "").expanduser()) if Path(weights.path or "").expanduser().exists() else weights.path
    )
    try:
        pipeline = pipeline_class.from_pretrained(path, torch_dtype=placement.dtype, **components)
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"weights.path={weights.path}: cannot be loaded as a {pipeline_class.__name__}: {reason}"
        ) from None
    return pipeline.to(placement.device)


def require_components(pipeline: Any, names: Mapping[str, type[nn.Module]], path: str | None) -> None:
    """Raise `ConfigError` where a loaded pipeline lacks a component that the workload measures."""
    for name, kind in names.items():
        if not isinstance(getattr(pipeline, name, None), kind):
            raise ConfigError(f"weights.path={path}: the pipeline's {name} is not a {kind.__name__}")
