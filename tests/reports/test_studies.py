"""Studies as the gallery reads them: whose runs a command reports on, and that what shows them exists."""

from __future__ import annotations

import subprocess
from importlib import import_module
from pathlib import Path

import pytest

from reports.studies import Study, studies, study

STUDIES = studies()
TEXT = """# @package _global_
# python run.py study=toy && python -m reports outputs/toy/{a,b-*}-flash* outputs/more --out outputs/toy/report
# Toys et al. 2024, Fig. 6: what they
# take. Measured elsewhere.
study: toy
exhibits: [figures/roofline]
"""


def test_a_study_is_read_from_its_file() -> None:
    toy = study("toy", TEXT)
    assert toy.command.startswith("python run.py study=toy && ")
    assert toy.says == "Toys et al. 2024, Fig. 6: what they take."
    assert toy.exhibits == ("figures/roofline",)


@pytest.mark.parametrize("one", [study("toy", TEXT), *STUDIES], ids=lambda one: one.name)
def test_its_runs_are_those_that_a_shell_hands_to_its_command(one: Study, tmp_path: Path) -> None:
    workloads = ("a", "b-1", "stable_diffusion", "stable_diffusion_xl", "animatediff", "llama")
    stacks = ("flash_attention", "baseline_attention", "vae_slicing+flash_attention")
    for folder in ("toy", "more", "paper_simulation", "image_size_scaling", one.name):
        for name in (f"{workload}-{stack}-0f" for workload in workloads for stack in stacks):
            (tmp_path / "outputs" / folder / name).mkdir(parents=True, exist_ok=True)
    words = one.command.split("python -m reports ")[1].split(" --out ")[0]
    said = subprocess.run(["bash", "-c", f"ls -d {words}"], cwd=tmp_path, capture_output=True, text=True, check=False)
    named = [tmp_path / path for path in said.stdout.split()]
    expected = {run for path in named for run in ([path] if path.parent.name != "outputs" else path.iterdir())}
    assert expected
    assert set(one.folders_of(tmp_path.glob("outputs/*/*"))) == expected


@pytest.mark.parametrize("one", STUDIES, ids=lambda one: one.name)
def test_what_shows_a_study_exists(one: Study) -> None:
    assert one.exhibits
    for exhibit in one.exhibits:
        package, name = exhibit.split("/")
        module = import_module(f"reports.{package}.{name}")
        assert hasattr(module, {"figures": "draw", "tables": "build"}[package])
    assert one.says.endswith(".")
    assert len(one.says) > 40
