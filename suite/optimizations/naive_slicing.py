"""Naive slicing, the foil of Zhan et al. 2024 (arXiv 2411.01171, section 5.1): a video made clip by clip.

From text, clips are made independently and put one after another; from an image, each clip begins with the last frame of the
one before. What the temporal layers see ends at a clip's edge, so motion breaks there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from suite.errors import ConfigError
from suite.optimizations.contract import Handle
from suite.optimizations.pipeline_calls import parameters, pipeline_of, replace_call
from suite.slicing.plan import cuts
from suite.workload import NotApplicableError, Workload

LEAST_FROM_IMAGE = 2
"""Frames that a pipeline from an image can make: diffusers' takes guidance from the second frame on, and fails on one alone."""


@dataclass(frozen=True)
class NaiveSlicing:
    """
    Args:
        frames_from_text, frames_from_image: of a clip, where the pipeline starts from text or from an image.
    """

    frames_from_text: int
    frames_from_image: int
    exact: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for key, least in (("frames_from_text", 1), ("frames_from_image", LEAST_FROM_IMAGE)):
            if getattr(self, key) < least:
                raise ConfigError(
                    f"naive_slicing.{key}={getattr(self, key)}: a whole number of at least {least} is needed"
                )

    def apply(self, workload: Workload) -> Handle:
        pipeline = pipeline_of(workload, "num_frames", "output_type")
        num_frames = workload.request.num_frames or 1
        if len(set(workload.temporal_lengths)) > 1:
            raise NotApplicableError(
                "the decoder makes several frames of each latent frame: clips of a few frames do not exist"
            )
        from_image = "prompt" not in parameters(pipeline) and "image" in parameters(pipeline)
        length = self.frames_from_image if from_image else self.frames_from_text
        if length >= num_frames:
            raise NotApplicableError(f"a clip of {length} frames holds all {num_frames} of the video")
        make = chained_clips if from_image else independent_clips
        handle = Handle(
            f"{num_frames} frames in clips of {length}{', each from the last frame of another' * from_image}"
        )
        handle.on_revert(replace_call(pipeline, lambda call, given: make(call, given, num_frames, length)))
        return handle


Call = Callable[..., Any]


def independent_clips(call: Call, arguments: Mapping[str, Any], num_frames: int, length: int) -> tuple[Any]:
    """All frames, ``[B, F, C, H, W]``: clip after clip, the last one shorter where it does not come out even.

    The generator of the initial noise runs on from clip to clip, so that no two clips begin with the same noise.
    """
    import torch

    clips = [_frames(call, arguments, size) for size in lengths(num_frames, length)]
    return (torch.cat(clips, dim=1),)


def chained_clips(call: Call, arguments: Mapping[str, Any], num_frames: int, length: int) -> tuple[Any]:
    """As `independent_clips`, and the image of each clip is the last frame of the one before.

    Of a last clip that is too short to be made, what is too much is made and dropped.
    """
    import torch
    from diffusers.image_processor import VaeImageProcessor

    clips: list[torch.Tensor] = []
    image = arguments["image"]
    for size in lengths(num_frames, length):
        clips.append(_frames(call, {**arguments, "image": image}, max(size, LEAST_FROM_IMAGE))[:, :size])
        # As pictures of 8 bits, which is what pipelines resize and normalize; a tensor they would take as it is.
        image = VaeImageProcessor.numpy_to_pil(VaeImageProcessor.pt_to_numpy(clips[-1][:, -1].float()))
    return (torch.cat(clips, dim=1),)


def lengths(num_frames: int, length: int) -> list[int]:
    """Of the clips that a video is cut into."""
    return [stop - start for start, stop in cuts(num_frames, -(-num_frames // length))]


def _frames(call: Call, arguments: Mapping[str, Any], num_frames: int) -> Any:
    output = call(**{**arguments, "num_frames": num_frames, "output_type": "pt", "return_dict": False})
    return output[0] if isinstance(output, tuple) else output
