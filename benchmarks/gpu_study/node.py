"""A GPU node before anybody has been on it: its platform, and the packages that its Python already holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename

GLIBC = tuple(range(39, 16, -1))
"""Minor versions of glibc 2 that a wheel may have been built for; pip matches each of them exactly."""
OLD_NAMES = ("manylinux2014", "manylinux2010", "manylinux1", "linux")


class NodeError(ValueError):
    """A node that cannot be served. The message is one sentence."""


@dataclass(frozen=True)
class Target:
    """Where the wheels will be installed.

    Args:
        python: its version, e.g. ``3.12``.
        machine: ``x86_64`` or ``aarch64``.
        newest_glibc: minor version of its glibc 2, beyond which a wheel would not load.
    """

    python: str = "3.12"
    machine: str = "x86_64"
    newest_glibc: int = 28

    @property
    def platforms(self) -> list[str]:
        names = [f"manylinux_2_{minor}" for minor in GLIBC if minor <= self.newest_glibc]
        return [f"{name}_{self.machine}" for name in (*names, *OLD_NAMES)]

    @property
    def tags(self) -> set[Tag]:
        """What pip on the node accepts."""
        version = tuple(int(part) for part in self.python.split("."))
        interpreter = f"cp{''.join(self.python.split('.')[:2])}"
        return {
            *cpython_tags(version, platforms=self.platforms),
            *compatible_tags(version, interpreter, platforms=self.platforms),
        }

    @property
    def markers(self) -> dict[str, str]:
        """What environment markers of requirements are read against."""
        return {
            "python_version": ".".join(self.python.split(".")[:2]),
            "python_full_version": self.python if self.python.count(".") == 2 else f"{self.python}.0",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "sys_platform": "linux",
            "platform_system": "Linux",
            "platform_machine": self.machine,
            "os_name": "posix",
            "extra": "",
        }

    def takes(self, wheel: Path) -> bool:
        """Whether a wheel can be installed there."""
        return not self.tags.isdisjoint(parse_wheel_filename(wheel.name)[3])

    def wants(self, requirement: Requirement) -> bool:
        """Whether a requirement's marker holds there."""
        return requirement.marker is None or requirement.marker.evaluate(self.markers)


def read_packages(path: Path) -> dict[str, str | None]:
    """Packages by canonical name, with the version where it is told.

    Args:
        path: the output of ``pip list --format=freeze`` on the node; plain names, comments and URLs are good as well.

    Raises:
        NodeError: there is no such file, or nothing in it.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise NodeError(f"NODE_PACKAGES={path} cannot be read: {error.strerror}.") from None
    found: dict[str, str | None] = {}
    for line in lines:
        words = line.partition("#")[0].strip()
        if words and not words.startswith("-"):
            name, _, version = words.partition("==")
            found[canonicalize_name(name.partition(" @ ")[0].strip())] = version.strip() or None
    if not found:
        raise NodeError(f"NODE_PACKAGES={path} names no package: the output of pip list --format=freeze is needed.")
    return found


def is_met(requirement: Requirement, packages: Mapping[str, str | None]) -> bool:
    """Whether the node has what is asked for; a version that nobody told is taken to do."""
    name = canonicalize_name(requirement.name)
    if name not in packages:
        return False
    version = packages[name]
    return version is None or requirement.specifier.contains(version, prereleases=True)
