"""What a node is known to have, and which wheels it takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.requirements import Requirement

from benchmarks.gpu_study.node import NodeError, Target, is_met, read_packages


def test_packages_are_read_from_pip_and_from_plain_names(tmp_path: Path) -> None:
    path = tmp_path / "packages.txt"
    path.write_text(
        "# made there\ntorch==2.11.0+cu130\nPyYAML\nhuggingface_hub==1.33.0  # seen\n-e .\nmine @ file:///mine\n\n"
    )
    assert read_packages(path) == {"torch": "2.11.0+cu130", "pyyaml": None, "huggingface-hub": "1.33.0", "mine": None}


@pytest.mark.parametrize("text", ["", "# nothing\n", None])
def test_a_list_of_nothing_is_refused(text: str | None, tmp_path: Path) -> None:
    path = tmp_path / "packages.txt"
    if text is not None:
        path.write_text(text)
    with pytest.raises(NodeError, match=r"NODE_PACKAGES=.*packages\.txt"):
        read_packages(path)


@pytest.mark.parametrize(
    ("wheel", "python", "machine", "taken"),
    [
        ("a-1-py3-none-any.whl", "3.12", "x86_64", True),
        ("a-1-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", "3.12", "x86_64", True),
        ("a-1-cp312-cp312-manylinux_2_24_x86_64.whl", "3.12", "x86_64", True),
        ("a-1-cp38-abi3-manylinux1_x86_64.whl", "3.12", "x86_64", True),
        ("a-1-cp311-cp311-manylinux_2_17_x86_64.whl", "3.12", "x86_64", False),
        ("a-1-cp312-cp312-manylinux_2_34_x86_64.whl", "3.12", "x86_64", False),
        ("a-1-cp312-cp312-manylinux_2_17_x86_64.whl", "3.12", "aarch64", False),
        ("a-1-cp312-cp312-macosx_11_0_arm64.whl", "3.12", "aarch64", False),
        ("a-1-py2-none-any.whl", "3.12", "x86_64", False),
    ],
)
def test_wheels_that_the_node_takes(wheel: str, python: str, machine: str, taken: bool) -> None:
    assert Target(python, machine).takes(Path(wheel)) == taken


def test_markers_are_read_for_the_node_not_for_this_machine() -> None:
    target = Target("3.12")
    assert target.wants(Requirement("a; python_version >= '3.12' and platform_machine == 'x86_64'"))
    assert not target.wants(Requirement("a; python_version < '3.9'"))
    assert not target.wants(Requirement("a; extra == 'dev'"))
    assert not target.wants(Requirement("a; sys_platform == 'win32'"))


@pytest.mark.parametrize(
    ("asked", "met"), [("torch>=2.11,<2.14", True), ("torch>=2.12", False), ("pyyaml>=9", True), ("hydra-core", False)]
)
def test_requirements_are_met_by_versions_and_by_what_nobody_told(asked: str, met: bool) -> None:
    assert is_met(Requirement(asked), {"torch": "2.11.0+cu130", "pyyaml": None}) == met
