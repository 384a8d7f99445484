"""``python -m benchmarks.gpu_study wheelhouse``: fill a folder with what a node lacks and say how to install from it.

Exit codes: 0 done; 2 it cannot be made, or is larger than it may be.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from packaging.requirements import Requirement

from benchmarks.gpu_study import ROOT
from benchmarks.gpu_study.node import NodeError, Target, read_packages
from benchmarks.gpu_study.wheelhouse import LEFT_OUT, Walk, Wheel, pip_fetch, read_pins

PLAIN_IMAGE = Path(__file__).with_name("node_packages.txt")
MIB = 2**20
BAD_INPUT = 2


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    target = Target(options.python_version, options.machine, options.glibc)
    try:
        wheels = fill(options.out, target, options.node_packages)
    except NodeError as error:
        sys.stderr.write(f"{error}\n")
        return BAD_INPUT
    sys.stdout.write("".join(f"{line}\n" for line in listing(wheels)))
    total, most = sum(wheel.size for wheel in wheels.values()), options.most_mib * MIB
    if total > most:
        sys.stderr.write(f"{too_large(wheels, options.most_mib)}\n")
        return BAD_INPUT
    sys.stdout.write(
        f"\nOn the node: python3 -m benchmarks.gpu_study run --wheelhouse {options.out.name} --out RESULTS\n"
        f"or by hand:  python3 -m pip install --no-index --no-deps --upgrade --target SITE {options.out.name}/*.whl "
        "&& export PYTHONPATH=SITE\n"
    )
    return 0


def fill(folder: Path, target: Target, node_packages: Path) -> Mapping[str, Wheel]:
    """Replace the folder's wheels by those that the node lacks.

    Raises:
        NodeError: see `Walk.need`.
    """
    packages = read_packages(node_packages)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.whl"):
        old.unlink()
    walk = Walk(target, packages, read_pins(ROOT / "constraints.txt", target), pip_fetch(target), folder)
    return walk.need(_project_requirements())


def _project_requirements() -> list[Requirement]:
    try:
        import tomllib  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError:  # Python 3.10
        import tomli as tomllib  # pyright: ignore[reportMissingImports]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [Requirement(line) for line in project["dependencies"]]


def listing(wheels: Mapping[str, Wheel]) -> list[str]:
    """The wheels as a Markdown table, the largest first, and what was left out."""
    ordered = sorted(wheels.values(), key=lambda wheel: -wheel.size)
    rows = [f"| {wheel.path.name} | {wheel.size / MIB:.2f} | {wheel.because} |" for wheel in ordered]
    total = sum(wheel.size for wheel in ordered) / MIB
    notes = [f"Left out: {name} ({why})." for name, why in LEFT_OUT.items()]
    return ["| wheel | MiB | why |", "| --- | ---: | --- |", *rows, "", f"{len(rows)} wheels, {total:.1f} MiB.", *notes]


def too_large(wheels: Mapping[str, Wheel], most_mib: float) -> str:
    """One sentence: which wheels are how large, and what to do."""
    largest = sorted(wheels.items(), key=lambda item: -item[1].size)[:3]
    named = ", ".join(f"{name} {wheel.size / MIB:.0f} MiB" for name, wheel in largest)
    return (
        f"The wheelhouse is larger than {most_mib:g} MiB ({named}): take a node that has these, and name its packages with "
        "NODE_PACKAGES=FILE (pip list --format=freeze there), or allow more with --most-mib."
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_study wheelhouse", description="Wheels for a GPU node without internet."
    )
    parser.add_argument("--out", type=Path, default=Path("wheelhouse"), metavar="DIR")
    parser.add_argument(
        "--node-packages",
        type=Path,
        default=PLAIN_IMAGE,
        metavar="FILE",
        help="pip list --format=freeze of the node, or names; by default those of a usual PyTorch image",
    )
    parser.add_argument("--python-version", default="3.12", metavar="X.Y", help="of the node")
    parser.add_argument("--machine", default="x86_64", choices=("x86_64", "aarch64"), help="of the node")
    parser.add_argument("--glibc", type=int, default=28, metavar="MINOR", help="glibc 2.MINOR is the node's, or newer")
    parser.add_argument("--most-mib", type=float, default=60, metavar="MIB")
    return parser
