"""Installing from a wheelhouse, by the real pip, and what is said where that cannot be."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from benchmarks.gpu_study import installation
from benchmarks.gpu_study.installation import InstallationError, install, missing


def wheel(folder: Path, name: str) -> None:
    """A package of one module, which pip has no index for."""
    info = f"{name}-1.0.dist-info"
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}.py", "WHERE = 'wheelhouse'\n")
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Dist: torch\n"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


def test_what_is_missing_is_named() -> None:
    assert missing(["json", "no_such_module_anywhere"]) == ["no_such_module_anywhere"]


def test_wheels_are_installed_beside_the_nodes_packages(tmp_path: Path) -> None:
    wheel(tmp_path / "wheelhouse", "made_up_for_a_test")
    install(tmp_path / "wheelhouse", tmp_path / "site")
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    program = "import made_up_for_a_test as found; print(found.WHERE)"
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "wheelhouse"


def test_without_wheels_the_modules_and_the_option_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "missing", lambda: ["hydra", "diffusers"])
    for wheelhouse in (None, tmp_path):
        with pytest.raises(InstallationError, match=r"hydra, diffusers cannot be imported: .*--wheelhouse"):
            install(wheelhouse, tmp_path / "site")


def test_pips_refusal_is_told(tmp_path: Path) -> None:
    (tmp_path / "broken-1.0-py3-none-any.whl").write_bytes(b"no archive")
    with pytest.raises(InstallationError, match="pip could not install"):
        install(tmp_path, tmp_path / "site")
