"""What a run ran on: versions, processor, memory, GPU, driver, clocks and the state of the source tree.

What cannot be read is left out, never guessed.
"""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from suite import nvml
from suite.errors import UnavailableError

PACKAGES = ("torch", "diffusers", "transformers", "accelerate", "numpy", "hydra-core", "genscope")
ROOT = Path(__file__).resolve().parent.parent


def capture(device: str) -> dict[str, Any]:
    """Everything worth knowing about this machine for a run on `device` (``cpu`` or ``cuda``)."""
    import psutil

    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": _packages(),
        "cpu": {
            "name": _cpu_name(),
            "num_physical_cores": psutil.cpu_count(logical=False),
            "num_logical_cores": psutil.cpu_count(),
            "memory_bytes": psutil.virtual_memory().total,
        },
        "torch": _torch_settings(),
        "device": device,
        "gpu": _gpu() if device == "cuda" else None,
        "git": _git(),
    }


def _packages() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _torch_settings() -> dict[str, Any]:
    import torch

    return {
        "num_threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if torch.backends.cudnn.is_available() else None,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "allow_tf32_matmul": torch.backends.cuda.matmul.allow_tf32,
        "allow_tf32_cudnn": torch.backends.cudnn.allow_tf32,
        "allocator_settings": torch._C._accelerator_getAllocatorSettings(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }


def _gpu() -> dict[str, Any]:
    import torch

    index = torch.cuda.current_device()
    properties = torch.cuda.get_device_properties(index)
    found: dict[str, Any] = {
        "name": properties.name,
        "compute_capability": f"{properties.major}.{properties.minor}",
        "memory_bytes": properties.total_memory,
        "num_multiprocessors": properties.multi_processor_count,
        "uuid": gpu_uuid(),
        "allocator_backend": torch.cuda.get_allocator_backend(),
    }
    return found | gpu_state(found["uuid"])


def gpu_uuid() -> str | None:
    """Of torch's current GPU, as NVML knows it without its prefix."""
    import torch

    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    return str(getattr(properties, "uuid", "")) or None


def gpu_state(uuid: str | None) -> dict[str, Any]:
    """Driver, clocks, power and throttle reasons now, through NVML; what the driver withholds is left out."""
    try:
        with nvml.opened(uuid) as gpu:
            return gpu.driver() | gpu.state()
    except UnavailableError as error:
        return {"nvml": f"unavailable: {error}"}


def _git() -> dict[str, Any] | None:
    """Commit of the source tree and whether it holds changes; None for an installed package."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != ROOT:
            return None
        dirty = bool(git("status", "--porcelain", "--untracked-files=no"))
        return {"commit": git("rev-parse", "HEAD"), "dirty": dirty}
    except (OSError, subprocess.SubprocessError):
        return None
