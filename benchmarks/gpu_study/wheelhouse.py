"""Wheels for a GPU node without internet: ``python -m benchmarks.gpu_study wheelhouse``.

    pyproject.toml --what the node lacks--> pip download (pip wheel for what has no wheel) --Requires-Dist--> what it lacks ...

The versions are those of constraints.txt, so that what is walked is what was tested together. torch and what it brings are the
node's own; a node without a torch that pyproject.toml accepts is refused.
"""

from __future__ import annotations

import email.parser
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from benchmarks.gpu_study.node import NodeError, Target, is_met

LEFT_OUT = {
    "torch-tb-profiler": "the tab of TensorBoard is opened elsewhere",
    "imageio-ffmpeg": "30 MB, and no study saves a video",
}
"""Requirements that nothing on the node imports, and why."""
OF_THE_NODE = ("torch",)
"""What no wheelhouse can bring: with its CUDA libraries it is gigabytes."""

Fetch = Callable[[str, Path], Path]
"""Gets the wheel of a pinned requirement (``name==version``) into a folder."""


@dataclass(frozen=True)
class Wheel:
    """One wheel, and what the node would have had instead."""

    path: Path
    because: str

    @property
    def size(self) -> int:
        return self.path.stat().st_size


@dataclass
class Walk:
    """Follows requirements until the node lacks nothing.

    Args:
        target: the node's platform.
        packages: what it holds.
        pins: versions by canonical name.
        fetch: gets a wheel.
        folder: for the wheels.
    """

    target: Target
    packages: Mapping[str, str | None]
    pins: Mapping[str, str]
    fetch: Fetch
    folder: Path
    wheels: dict[str, Wheel] = field(default_factory=dict)

    def need(self, requirements: Iterable[Requirement]) -> dict[str, Wheel]:
        """The wheels by name, with those that they need themselves.

        Raises:
            NodeError: a requirement that only the node could meet and does not, or one beyond the pinned versions.
        """
        for requirement in requirements:
            name = canonicalize_name(requirement.name)
            if not self.target.wants(requirement) or name in LEFT_OUT:
                continue
            if name in self.wheels:
                self._check(requirement, parse_wheel_filename(self.wheels[name].path.name)[1])
            elif not is_met(requirement, self.packages):
                self._bring(requirement, name)
        return self.wheels

    def _bring(self, requirement: Requirement, name: str) -> None:
        had = self.packages.get(name)
        if name in OF_THE_NODE:
            raise NodeError(
                f"The node has {had or 'no version'} of {name}, and {requirement} is needed: install it there."
            )
        if name not in self.pins:
            raise NodeError(f"constraints.txt pins no {name}, which is needed as {requirement}: add it there.")
        self._check(requirement, self.pins[name])
        wheel = self.fetch(f"{name}=={self.pins[name]}", self.folder)
        if not self.target.takes(wheel):
            raise NodeError(f"{wheel.name} does not run on Python {self.target.python} of {self.target.machine}.")
        because = f"replaces {had}, as {requirement} is needed" if had else "the node has none"
        self.wheels[name] = Wheel(wheel, because)
        self.need(requirements_of(wheel))

    def _check(self, requirement: Requirement, version: object) -> None:
        if not requirement.specifier.contains(str(version), prereleases=True):
            raise NodeError(f"constraints.txt pins {requirement.name} to {version}, and {requirement} is needed.")


def requirements_of(wheel: Path) -> list[Requirement]:
    """What a wheel's metadata asks for."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.parser.BytesParser().parsebytes(archive.read(name), headersonly=True)
    return [Requirement(line) for line in metadata.get_all("Requires-Dist", [])]


def read_pins(path: Path, target: Target) -> dict[str, str]:
    """The versions of constraints.txt that hold for the node's Python."""
    lines = [line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]
    pinned = [Requirement(line) for line in lines if line]
    return {canonicalize_name(one.name): str(one.specifier)[2:] for one in pinned if target.wants(one)}


def pip_fetch(target: Target, pip: Sequence[str] = (sys.executable, "-m", "pip")) -> Fetch:
    """Download a wheel for the node, or build one where there is only a source distribution."""
    where = [word for platform in target.platforms for word in ("--platform", platform)]
    binary = ["--only-binary=:all:", "--implementation", "cp", "--python-version", target.python, *where]

    def fetch(pinned: str, folder: Path) -> Path:
        before = set(folder.glob("*.whl"))
        failed = _pip([*pip, "download", *binary, "--no-deps", "--dest", str(folder), pinned])
        if failed:
            failed = _pip([*pip, "wheel", "--no-deps", "--wheel-dir", str(folder), pinned])
        found = set(folder.glob("*.whl")) - before
        if failed or len(found) != 1:
            raise NodeError(f"pip has neither a wheel nor a source of {pinned} for the node: {failed or found}.")
        return found.pop()

    return fetch


def _pip(command: Sequence[str]) -> str:
    """Run it; its last line where it failed, else nothing."""
    done = subprocess.run([*command, "--quiet"], capture_output=True, text=True, check=False)
    lines = (done.stderr or done.stdout).strip().splitlines()
    return (lines[-1] if lines else f"exit status {done.returncode}") if done.returncode else ""
