"""Split inference of motion U-Nets, as diffusers offers it (``SplitInferenceModule``; FreeNoise itself is not used).

Every module by itself is run on a few rows of its input at a time, and its outputs are concatenated: slicing without grouping
across modules. The motion modules' norm is not among them, so it is exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from suite.errors import ConfigError
from suite.optimizations.contract import Handle
from suite.slicing.recipe import own_class, replace_forward
from suite.workload import NotApplicableError, Workload


@dataclass(frozen=True)
class SplitInference:
    """
    Args:
        spatial_split_size: pixels at a time in motion modules.
        temporal_split_size: frames at a time everywhere else.
    """

    spatial_split_size: int
    temporal_split_size: int
    exact: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for key in ("spatial_split_size", "temporal_split_size"):
            if getattr(self, key) < 1:
                raise ConfigError(f"split_inference.{key}={getattr(self, key)}: a whole number of at least 1 is needed")

    def apply(self, workload: Workload) -> Handle:
        from diffusers import UNetMotionModel
        from diffusers.pipelines.free_noise_utils import SplitInferenceModule

        denoiser: Any = workload.parts["denoiser"]
        if own_class(denoiser) is not UNetMotionModel:
            raise NotApplicableError(f"diffusers splits motion U-Nets only, and {type(denoiser).__name__} is none")
        handle = Handle("")
        modules = list(self._modules(denoiser))
        for module, size, names in modules:
            split = SplitInferenceModule(_computing(module.forward), size, 0, names)
            handle.on_revert(replace_forward(module, split.forward))
        said = f"{self.temporal_split_size} frames or {self.spatial_split_size} pixels"
        handle.changes = f"{len(modules)} modules each take {said} at a time"
        return handle

    def _modules(self, unet: Any) -> Iterator[tuple[Any, int, list[str]]]:
        """What ``enable_free_noise_split_inference`` wraps: modules, how much they take, and which arguments are split."""
        for block in (*unet.down_blocks, unet.mid_block, *unet.up_blocks):
            for motion_module in getattr(block, "motion_modules", None) or ():
                yield motion_module.proj_in, self.spatial_split_size, ["input"]
                for inner in motion_module.transformer_blocks:
                    yield inner, self.spatial_split_size, ["hidden_states", "encoder_hidden_states"]
                yield motion_module.proj_out, self.spatial_split_size, ["input"]
            for attention in getattr(block, "attentions", None) or ():
                yield attention, self.temporal_split_size, ["hidden_states", "encoder_hidden_states"]
            for resnet in block.resnets:
                yield resnet, self.temporal_split_size, ["input_tensor", "temb"]
            for name in ("downsamplers", "upsamplers"):
                for sampler in getattr(block, name, None) or ():
                    yield sampler, self.temporal_split_size, ["hidden_states"]


def _computing(forward: Any) -> Any:
    """A module that does what `forward` does, and holds no module: the U-Net's own module paths stay as they are."""
    from torch import nn

    module = nn.Module()
    module.forward = forward
    return module
