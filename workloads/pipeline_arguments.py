"""What a pipeline is called with: a request in the words that the pipeline's own ``__call__`` understands."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
from PIL import Image

from suite.errors import ConfigError
from suite.workload import Request

SPELLINGS = {
    "height": ("height",),
    "width": ("width",),
    "num_frames": ("num_frames", "video_length", "frames"),
    "num_inference_steps": ("num_inference_steps",),
    "guidance_scale": ("guidance_scale", "max_guidance_scale"),
}
"""What pipelines call the values of a request, the first that fits."""
OTHER_WORDS = {
    "prompt": "prompt",
    "negative_prompt": "negative_prompt",
    "generator": "seed",
    "batch_size": "batch_size",
}
"""Further words of pipelines for what a request says."""
PER_PROMPT = re.compile("num_.*_per_prompt")
"""How many a pipeline makes of each prompt: the request's batch."""
OURS = re.compile("output_type|return_dict|clean_caption|use_resolution_binning|callback.*")
"""What a pipeline is called with so that its output can be read and its steps be told apart."""
LISTS_OF_STEPS = ("timesteps", "sigmas")
NO_ARGUMENTS: Mapping[str, Any] = MappingProxyType({})
NEEDS_IMAGE = re.compile("ImageToVideo|Image2Video|Img2Img|Inpaint|Edit|Upscale|SuperResolution")
"""Pipelines that cannot run without an image, even where their signature has a default for it."""
SYNTHETIC_SIZE = 512
"""Side of a synthetic image where the request names no size."""
IMAGE_NOTE = "The conditioning image is a synthetic one."


def call_parameters(pipeline: Any) -> Mapping[str, inspect.Parameter]:
    """Everything the pipeline can be called with."""
    return inspect.signature(type(pipeline).__call__).parameters


def makes_video(pipeline: Any) -> bool:
    return any(name in call_parameters(pipeline) for name in SPELLINGS["num_frames"])


def spelled(pipeline: Any, key: str) -> str | None:
    """The pipeline's word for a value of the request, or None where it takes no such value."""
    return next((name for name in SPELLINGS[key] if name in call_parameters(pipeline)), None)


def completed(pipeline: Any, request: Request) -> Request:
    """The request with the pipeline's own number of frames where none was asked for, so that it is known afterwards."""
    word = spelled(pipeline, "num_frames")
    if word is None or request.num_frames is not None:
        return request
    default = call_parameters(pipeline)[word].default
    configured = getattr(getattr(getattr(pipeline, "unet", None), "config", None), "num_frames", None)
    return replace(request, num_frames=default if isinstance(default, int) else configured)


def check_request(pipeline: Any, request: Request) -> None:
    """Raise `ConfigError` for what the pipeline would refuse, or silently round."""
    name = type(pipeline).__name__
    for key in SPELLINGS:
        if getattr(request, key) is not None and spelled(pipeline, key) is None:
            raise ConfigError(f"request.{key}={getattr(request, key)}: {name} takes no {key} (null)")
    if request.negative_prompt is not None and "negative_prompt" not in call_parameters(pipeline):
        raise ConfigError(f"request.negative_prompt is set: {name} takes none (null)")
    for key in ("height", "width"):
        if getattr(request, key) is not None:
            request.require_multiple(key, spatial_multiple(pipeline))
    factor = temporal_compression(pipeline)
    if request.num_frames is not None and (request.num_frames - 1) % factor:
        raise ConfigError(f"request.num_frames={request.num_frames}: {factor} k + 1 frames are needed")


def check_call_arguments(pipeline: Any, given: Mapping[str, Any], request: Request) -> None:
    """Raise `ConfigError` for an argument that the pipeline does not take, or that is set elsewhere already."""
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    taken = {name for name, one in call_parameters(pipeline).items() if one.kind in named} - {"self"}
    elsewhere = {spelled(pipeline, key): key for key in SPELLINGS} | OTHER_WORDS
    elsewhere |= {name: "batch_size" for name in taken if PER_PROMPT.fullmatch(name)}
    free = sorted(name for name in taken if name not in elsewhere and not OURS.fullmatch(name))
    for name, value in given.items():
        said = f"workload.call_arguments.{name}"
        if name in elsewhere and name in taken:
            raise ConfigError(f"{said}={value}: that is said by request.{elsewhere[name]}")
        if name not in free:
            why = "genscope sets it itself" if name in taken else f"{type(pipeline).__name__} takes no such argument"
            raise ConfigError(f"{said}: {why}; accepted: {', '.join(free)}")
        steps = request.num_inference_steps
        if name in LISTS_OF_STEPS and isinstance(value, list) and steps is not None and len(value) != steps:
            raise ConfigError(f"{said} has {len(value)} entries: request.num_inference_steps={steps} are needed")


def spatial_multiple(pipeline: Any) -> int:
    """Pixels that heights and widths must be a multiple of: what a latent stands for, times a side of a patch."""
    names = (
        "vae_scale_factor_spatial",
        "vae_spatial_compression_ratio",
        "vae_spatial_scale_factor",
        "vae_scale_factor",
    )
    factors = [getattr(pipeline, name, None) for name in names]
    latent = next((factor for factor in factors if isinstance(factor, int)), 1)
    config = getattr(getattr(pipeline, "transformer", None), "config", {})
    patch = config.get("patch_size") or 1
    side = patch[-1] if isinstance(patch, list | tuple) else patch
    for name in ("image_processor", "video_processor"):  # where patches are packed outside the model, this one knows
        processor = getattr(getattr(pipeline, name, None), "config", {})
        latent = max(latent, processor.get("vae_scale_factor", 1) // side)
    return latent * side


def temporal_compression(pipeline: Any) -> int:
    """Frames that a latent frame stands for, after the first."""
    names = ("vae_scale_factor_temporal", "vae_temporal_compression_ratio", "vae_temporal_scale_factor")
    factors = [getattr(pipeline, name, None) for name in names]
    return next((factor for factor in factors if isinstance(factor, int)), 1)


def pipeline_arguments(pipeline: Any, request: Request, extra: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments for ``pipeline(...)``: the request and `extra`; what belongs to a single call is not among them.

    Raises:
        ConfigError: the pipeline needs something that nothing stands in for.
    """
    accepted = call_parameters(pipeline)
    given = {spelled(pipeline, key): getattr(request, key) for key in SPELLINGS if getattr(request, key) is not None}
    given |= _condition(pipeline, request)
    if request.negative_prompt is not None:
        given["negative_prompt"] = [request.negative_prompt] * request.batch_size
    # Only processors return tensors scaled to [0, 1]; pipelines without one scale what they hand out as arrays.
    has_processor = any(hasattr(pipeline, name) for name in ("image_processor", "video_processor"))
    given |= {
        "output_type": "pt" if has_processor else "np",
        "return_dict": False,
        "clean_caption": False,  # would need packages that change no model's work
        "use_resolution_binning": False,  # the size that is asked for is the size that is drawn
    }
    arguments = {name: value for name, value in given.items() if name in accepted} | dict(extra)
    missing = [name for name, parameter in accepted.items() if _is_required(parameter) and name not in arguments]
    if missing:
        options = ", ".join(f"workload.call_arguments.{name}" for name in missing)
        raise ConfigError(f"{type(pipeline).__name__} needs {options}: nothing stands in for that")
    return arguments


def synthetic_image(height: int | None, width: int | None) -> Image.Image:
    """A picture of smooth waves, the same every time: what it shows changes no model's work."""
    rows, columns = np.mgrid[0 : height or SYNTHETIC_SIZE, 0 : width or SYNTHETIC_SIZE] / SYNTHETIC_SIZE
    waves = [
        np.sin(2 * np.pi * (2 * rows + shift)) * np.cos(2 * np.pi * (3 * columns - shift)) for shift in (0, 0.2, 0.4)
    ]
    return Image.fromarray(((np.stack(waves, axis=-1) + 1) * 127.5).astype(np.uint8))


def _condition(pipeline: Any, request: Request) -> dict[str, Any]:
    """What the output is drawn from: text, a picture, a class; and how many, where nothing else tells."""
    accepted = call_parameters(pipeline)
    batch = request.batch_size
    condition: dict[str, Any] = {"prompt": [request.prompt] * batch, "class_labels": [0] * batch}
    if "prompt" not in accepted and "class_labels" not in accepted:
        condition["batch_size"] = batch
    needs_image = NEEDS_IMAGE.search(type(pipeline).__name__) or (
        "image" in accepted and _is_required(accepted["image"])
    )
    no_text = "prompt" not in accepted and "class_labels" not in accepted
    if "image" in accepted and (needs_image or no_text):
        image = synthetic_image(request.height, request.width)
        condition["image"] = image if batch == 1 else [image] * batch
        condition["mask_image"] = Image.new("L", image.size, 255)
    if "video" in accepted and _is_required(accepted["video"]):
        condition["video"] = [synthetic_image(request.height, request.width)] * (request.num_frames or 1)
    return condition


def _is_required(parameter: inspect.Parameter) -> bool:
    named = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    return named and parameter.name != "self" and parameter.default is parameter.empty
