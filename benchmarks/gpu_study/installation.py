"""Packages from a wheelhouse, into a folder beside what the node's Python has. Needs the standard library alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

NEEDED = (
    *("torch", "diffusers", "transformers", "accelerate", "hydra", "omegaconf", "msgspec", "pyarrow"),
    *("pandas", "scipy", "matplotlib", "psutil", "yaml", "rich", "tensorboard", "pynvml", "jinja2", "imageio"),
)
"""Modules that genscope imports somewhere."""


class InstallationError(Exception):
    """Packages that are not there and cannot be had. The message is one sentence."""


def missing(modules: Sequence[str] = NEEDED) -> list[str]:
    """Modules that cannot be imported here."""
    return [name for name in modules if find_spec(name) is None]


def install(wheelhouse: Path | None, site: Path) -> None:
    """Install the wheelhouse into `site`.

    Raises:
        InstallationError: there is none, or pip refuses it.
    """
    wheels = sorted(str(path) for path in wheelhouse.glob("*.whl")) if wheelhouse else []
    if not wheels:
        raise InstallationError(
            f"{', '.join(missing())} cannot be imported: name a folder of wheels with --wheelhouse (make wheelhouse fills one)."
        )
    site.mkdir(parents=True, exist_ok=True)
    quietly = ["--quiet", "--disable-pip-version-check", "--root-user-action=ignore", "--no-compile", "--no-cache-dir"]
    command = [sys.executable, "-m", "pip", "install", *quietly, "--no-index", "--no-deps", "--upgrade"]
    done = subprocess.run([*command, "--target", str(site), *wheels], capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise InstallationError(f"pip could not install {wheelhouse}: {''.join(last) or done.returncode}.")


def torch_sees_cuda() -> bool:
    """Whether there is a GPU to run on; asked in a process of its own, as this one is to hold no context on it."""
    program = "import sys, torch; sys.exit(not torch.cuda.is_available())"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode == 0


def restart_with(site: Path, arguments: Sequence[str]) -> None:
    """Start this process anew, with `site` before the node's own packages; never returns."""
    path = os.pathsep.join([str(site.resolve()), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "benchmarks.gpu_study", "run", *arguments]
    os.execve(sys.executable, command, os.environ | {"PYTHONPATH": path})
