"""The typed config tree: what may be written in ``conf/`` and on the command line, and what each value means.

Defaults live in ``conf/*.yaml``, not here: a field without a value in YAML is an error. Imports nothing of ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

from omegaconf import MISSING, OmegaConf

# Optional[...] is spelled out: OmegaConf 2.3 reads annotations at run time and Python 3.10 must be able to evaluate them.


@dataclass
class RequestConfig:
    """What one generation is asked for. null means the workload's own figure at the chosen scale."""

    prompt: str = MISSING
    """Text that is drawn."""
    negative_prompt: Optional[str] = MISSING  # noqa: UP045
    """Text to steer away from; used with guidance."""
    batch_size: Optional[int] = MISSING  # noqa: UP045
    """Images or videos generated at once."""
    height: Optional[int] = MISSING  # noqa: UP045
    """Output height in pixels."""
    width: Optional[int] = MISSING  # noqa: UP045
    """Output width in pixels."""
    num_frames: Optional[int] = MISSING  # noqa: UP045
    """Frames of a video; null for images."""
    num_inference_steps: Optional[int] = MISSING  # noqa: UP045
    """Denoising steps."""
    guidance_scale: Optional[float] = MISSING  # noqa: UP045
    """Classifier-free guidance weight; at most 1 turns guidance, and its second forward, off."""
    seed: int = MISSING
    """Seed of the initial noise and of sampling."""


@dataclass
class WeightsConfig:
    """Where weights come from."""

    source: str = MISSING
    """``random`` (seeded) or ``pretrained``."""
    path: Optional[str] = MISSING  # noqa: UP045
    """For ``pretrained``: a folder made by ``save_pretrained``, or a hub id."""
    seed: int = MISSING
    """Seed of random weights."""


@dataclass
class DeviceConfig:
    """What the workload runs on."""

    name: str = MISSING
    """``auto`` (cuda when there is one, and for simulations), ``cpu`` or ``cuda``."""
    precision: Optional[str] = MISSING  # noqa: UP045
    """float32, bfloat16 or float16; null: float32 on a CPU, bfloat16 on a GPU, float16 on a GPU that lacks bfloat16."""
    num_threads: Optional[int] = MISSING  # noqa: UP045
    """CPU threads of one operator; null leaves torch's choice."""
    allow_tf32_matmul: bool = MISSING
    """Let float32 matrix products use TF32 on a GPU (``torch.backends.cuda.matmul.allow_tf32``)."""
    allow_tf32_cudnn: bool = MISSING
    """Let float32 convolutions use TF32 on a GPU (``torch.backends.cudnn.allow_tf32``)."""
    expandable_segments: bool = MISSING
    """Let the CUDA allocator grow segments instead of adding new ones (``PYTORCH_CUDA_ALLOC_CONF``)."""
    deterministic: bool = MISSING
    """Demand deterministic kernels where they exist (slower)."""


@dataclass
class ProtocolConfig:
    """How trials are repeated. Times in seconds."""

    min_warmup_trials: int = MISSING
    """Unrecorded generations before trials may begin, for every arm."""
    max_warmup_trials: int = MISSING
    """Warm-up stops here even when trials still get faster; the record then says so."""
    steady_tolerance: float = MISSING
    """Warm-up ends when a trial is less than this fraction faster than the one before."""
    min_trials: int = MISSING
    """Timed trials of every arm at least, and as many of one kind before they are enough."""
    max_trials: int = MISSING
    """Timed trials of every arm at most, those that are set aside included."""
    target_relative_interval: float = MISSING
    """Stop when every arm's trials are steady and the half width of the 95 % interval of their median, those that are set aside
    left out, is below this fraction of it, five rounds in a row from `min_trials` on."""
    max_measuring_s: float = MISSING
    """Stop timing after this long, once `min_trials` are done; what slow regimes of the machine took is added, up to as much
    again."""


@dataclass
class ScaleConfig:
    """The size at which a workload is built."""

    name: str = MISSING
    """``smoke``, ``small`` or ``paper``: a key of the workload's ``scales``."""


def _workload() -> Any:
    """``call_arguments`` is open: any key may be set in it, since only the pipeline knows which there are."""
    return OmegaConf.create({"call_arguments": OmegaConf.create({}, flags={"struct": False})})


@dataclass
class Config:
    """The root. Groups first, then single values."""

    workload: Any = field(default_factory=_workload)
    """What is measured: a family of models and its pipeline. ``call_arguments``: what a pipeline of diffusers is called with
    besides the request, by its own words."""
    scale: ScaleConfig = field(default_factory=ScaleConfig)
    request: RequestConfig = field(default_factory=RequestConfig)
    weights: WeightsConfig = field(default_factory=WeightsConfig)
    optimization: Any = field(default_factory=dict)
    """The stack, by name, in the order in which it is applied."""
    reference: Any = field(default_factory=dict)
    """A second stack to compare with, trial by trial in the same run, besides the workload out of the box."""
    probe: Any = field(default_factory=dict)
    """What is observed."""
    execution: Any = MISSING
    """How it is run."""
    device: DeviceConfig = field(default_factory=DeviceConfig)
    protocol: ProtocolConfig = field(default_factory=ProtocolConfig)
    machine: Any = None
    """Whose speed and memory a run is held against: time estimates of a simulation, budgets of a planner. null: none."""
    study: Any = None
    """Name of the study that this run belongs to, if any."""
    exhibits: list[str] = field(default_factory=list)
    """Figures and tables that are the study's result: ``figures/NAME`` and ``tables/NAME`` of ``reports``."""
    smallest_slice: int = MISSING
    """Elements of a feature below which optimizations that slice cut it no further, unless told otherwise one by one."""
    output_dir: str = MISSING
    """Where run folders go, single and swept alike."""
    save_output: bool = MISSING
    """Keep the generated image or video in the run's folder."""
    save_trace: bool = MISSING
    """Keep the profiler's trace in the run's folder, for TensorBoard and Perfetto."""
    rerun: bool = MISSING
    """Run again even when a finished record of this configuration exists."""
