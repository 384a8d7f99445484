"""The contract between what is measured and how it is measured.

A workload holds its parts, generates once when asked, and marks stages around its calls into parts. It knows no probe and no
optimization. Imports torch only for types, so that configurations can be checked without it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from suite.attribution.scopes import AttentionRule
from suite.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from suite.offload import Offload
    from suite.slicing.recipe import Recipe

FAMILIES = ("diffusion_pixel", "diffusion_latent", "transformer_masked", "transformer_autoregressive", "language")
PARTS = ("text_encoder", "denoiser", "super_resolution", "decoder")
PRECISIONS = ("float32", "bfloat16", "float16")


class NotApplicableError(Exception):
    """An optimization that would change nothing on this workload. The message says why."""


class UnsupportedError(Exception):
    """Something that cannot be had on this machine or in this combination. The message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What one generation is asked for. Lengths in pixels, frames and steps."""

    prompt: str
    negative_prompt: str | None
    batch_size: int
    height: int | None
    width: int | None
    num_frames: int | None
    num_inference_steps: int | None
    guidance_scale: float | None
    seed: int

    def __post_init__(self) -> None:
        for key in ("batch_size", "height", "width", "num_frames", "num_inference_steps"):
            value = getattr(self, key)
            if value is not None and value < 1:
                raise ConfigError(f"request.{key}={value}: a whole number of at least 1 is needed")
        if self.guidance_scale is not None and self.guidance_scale < 0:
            raise ConfigError(f"request.guidance_scale={self.guidance_scale}: a number of at least 0 is needed")
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"request.seed={self.seed}: a whole number from 0 to 2**63 - 1 is needed")

    @property
    def guided(self) -> bool:
        """Whether classifier-free guidance runs, as diffusers decides it."""
        return self.guidance_scale is not None and self.guidance_scale > 1

    @property
    def num_rows(self) -> int:
        """Images, or frames of all videos, that a denoiser sees at once; guidance doubles them."""
        return self.batch_size * (self.num_frames or 1) * (2 if self.guided else 1)

    def require_multiple(self, key: str, factor: int) -> int:
        """The value of `key`, which must be given and a multiple of `factor`."""
        value = getattr(self, key)
        if value is None or value % factor:
            raise ConfigError(f"request.{key}={value}: a multiple of {factor} is needed")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Where weights come from: ``random`` with a seed, or ``pretrained`` from a folder or hub id."""

    source: str
    path: str | None
    seed: int

    def __post_init__(self) -> None:
        if self.source not in ("random", "pretrained"):
            raise ConfigError(f"weights.source={self.source}: random or pretrained is accepted")
        if self.source == "pretrained" and not self.path:
            raise ConfigError(
                "weights.path is not set: weights=pretrained needs a folder or hub id, weights.path=FOLDER"
            )
        looks_local = self.path is not None and (self.path.startswith((".", "/", "~")) or self.path.count("/") != 1)
        if self.path is not None and looks_local and not Path(self.path).expanduser().is_dir():
            raise ConfigError(f"weights.path={self.path}: there is no such folder")

    @property
    def pretrained(self) -> bool:
        return self.source == "pretrained"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """What a workload is built on and in which data type."""

    device: str
    """``cpu`` or ``cuda``."""
    precision: str
    """One of `PRECISIONS`."""
    compute_capability: str | None = None
    """Of an NVIDIA GPU, such as ``9.0``; None: it has none, or nobody said which GPU it is."""

    @property
    def dtype(self) -> torch.dtype:
        import torch

        return getattr(torch, self.precision)


class Workload(ABC):
    """A model family and its generation pipeline, ready to run one request.

    A subclass takes what its YAML lists under one of its ``scales`` as ``dimensions``, and the run-time values `request`,
    `weights` and `placement`.
    """

    family: ClassVar[str]
    """One of `FAMILIES`."""
    media: ClassVar[str]
    """``image``, ``video`` or ``text``."""
    attention_rules: ClassVar[Sequence[AttentionRule]]
    """Which modules are attention, and of which kind; the first rule that matches a module's path decides."""

    request: Request
    placement: Placement
    parts: Mapping[str, nn.Module]
    """The modules that do the work, by name (`PARTS`)."""
    notes: Sequence[str] = ()
    """What a reader of the numbers must know, one sentence each."""
    offload: Offload | None = None
    """Which weights are not on the device all the time; an optimization's, None where all are."""
    slicing_recipes: Mapping[type, Recipe] = MappingProxyType({})
    """How modules of this workload's own compute slice by slice, by class; `suite.optimizations` knows those of diffusers."""

    @property
    def temporal_lengths(self) -> Sequence[int]:
        """How many positions temporal attention may see: the frames, unless frames are compressed or made in stages."""
        return () if self.request.num_frames is None else (self.request.num_frames,)

    @property
    def num_steps(self) -> int | None:
        """How many steps the denoising or decoding loop has, once it runs; a scheduler may make more than were asked for."""
        return self.request.num_inference_steps

    @abstractmethod
    def generate(self) -> Any:
        """Generate once, from the request's seed: the same call gives the same output.

        Returns:
            images ``[B, C, H, W]`` or videos ``[B, F, C, H, W]`` as a float tensor in [0, 1].
        """

    @abstractmethod
    def save(self, output: Any, folder: Path) -> list[Path]:
        """Write what `generate` returned as image or video files; returns their paths."""


CALL_VARIANT = "call_variant"
"""Attribute of a module whose calls do different work in different steps: a function that names what the next call does."""


LAYERS_IN_ORDER = "layers_in_order"
"""Attribute of a denoiser that is a U-Net of no library's kind: a function that returns its layers in the order in which they
are called. The first reads the noisy input and is the last layer's skip; each takes and gives features."""


def call_variant(module: Any) -> Hashable:
    """What the next call of `module` does beside what its arguments tell; None where every call does the same."""
    tell = getattr(module, CALL_VARIANT, None)
    return None if tell is None else tell()


def has_values(workload: Workload) -> bool:
    """Whether there are numbers in its tensors. A simulation's has none, whatever device its `placement` says it stands for."""
    return not any(weight.is_meta for part in workload.parts.values() for weight in part.parameters())


def storage_bytes(modules: Iterable[nn.Module]) -> int:
    """Bytes that parameters and buffers of the modules hold, storage that they share counted once."""
    storages = {
        storage._cdata: storage.nbytes()
        for module in modules
        for tensor in (*module.parameters(), *module.buffers())
        for storage in (tensor.untyped_storage(),)
    }
    return sum(storages.values())
