"""Studies: each names itself and its command, sweeps what exists, and shares runs where it says that it shares them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT

STUDIES = sorted((ROOT / "conf" / "study").glob("*.yaml"))
GOLDEN = {"llama", "imagen", "stable_diffusion", "muse", "parti", "prod_image", "make_a_video", "phenaki"}
"""The suite of Golden et al. 2024."""
SHARED = {
    "operator_breakdown": "paper_simulation",
    "flash_speedup": "paper_simulation",
    "sequence_length_trace": "paper_simulation",
    "temporal_spatial_attention": "paper_simulation",
    "roofline": "paper_simulation",
    "prefill_decode": "paper_simulation",
    "model_taxonomy": "paper_simulation",
    "sequence_length_distribution": "image_size_scaling",
}


@pytest.fixture(scope="module")
def swept() -> Callable[..., Any]:
    """The whole configuration of a study, Hydra's own part included."""
    from suite.composition import composed

    return lambda *overrides: composed(overrides)


def choices(config: Any) -> dict[str, set[str]]:
    """What a study sweeps: each axis and its values."""
    text = dict(config.hydra.sweeper.params)
    return {axis: {value.strip("[] ") for value in str(values).split(",")} for axis, values in text.items()}


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_study_opens_with_its_command_and_sweeps_what_exists(path: Path, swept: Callable) -> None:
    package, command = path.read_text().splitlines()[:2]
    assert package == "# @package _global_"
    assert command.startswith(f"# python run.py study={path.stem}")
    config = swept(f"study={path.stem}")
    assert config.study == path.stem
    assert config.hydra.mode.name == "MULTIRUN"
    axes = choices(config)
    for group in ("workload", "optimization"):
        known = {option.stem for option in (ROOT / "conf" / group).glob("*.yaml")}
        named = {value for value in axes.get(group, set()) if value.isidentifier()}  # the others are Hydra's glob(...)
        assert named <= known


@pytest.mark.parametrize(("study", "other"), SHARED.items(), ids=list(SHARED))
def test_a_study_that_shares_runs_asks_for_none_that_the_other_does_not(
    study: str, other: str, swept: Callable, experiment: Callable
) -> None:
    own, theirs = swept(f"study={study}"), swept(f"study={other}")
    assert own.output_dir == theirs.output_dir
    for axis, values in choices(own).items():
        assert values <= choices(theirs)[axis]
    one = ["workload=stable_diffusion", "optimization=flash_attention", "request.height=512"]
    assert experiment(f"study={study}", *one).run_id == experiment(f"study={other}", *one).run_id


@pytest.mark.parametrize("study", ["operator_breakdown", "flash_speedup", "roofline", "model_taxonomy"])
def test_what_is_about_the_suite_of_golden_et_al_runs_all_of_it(study: str, swept: Callable) -> None:
    assert choices(swept(f"study={study}"))["workload"] == GOLDEN


SIMULATED = (*SHARED, "optimization_matrix", "cost_of_ownership", "precision_ladder", "ladder", "pareto")


@pytest.mark.parametrize("study", SIMULATED)
def test_studies_are_simulated_at_paper_scale_and_can_be_measured_at_smoke(study: str, swept: Callable) -> None:
    config = swept(f"study={study}")
    chosen = config.hydra.runtime.choices
    assert (chosen.execution, chosen.scale) == ("simulate", "paper")
    measured = swept(f"study={study}", "execution=measure", "scale=smoke", "~machine", "output_dir=elsewhere")
    chosen = measured.hydra.runtime.choices
    assert (chosen.execution, chosen.scale, measured.machine) == ("measure", "smoke", None)
    assert measured.output_dir == "elsewhere"


def test_every_rung_of_the_ladder_extends_the_one_before(swept: Callable) -> None:
    stacks = yaml.safe_load(f"[{swept('study=ladder').hydra.sweeper.params.optimization}]")
    first, *rungs = [[stack] if isinstance(stack, str) else stack for stack in stacks]
    assert first == ["baseline_attention"]
    assert rungs == [rungs[-1][:height] for height in range(1, len(rungs) + 1)]


@pytest.mark.parametrize("study", ["precision_ladder", "pareto"])
def test_half_precision_is_beside_float32(study: str, swept: Callable) -> None:
    assert swept(f"study={study}").device.precision == "float32"
    assert "bf16" in choices(swept(f"study={study}"))["optimization"]
