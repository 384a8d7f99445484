"""Studies: each names itself and its command, sweeps what exists, and shares runs where it says that it shares them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from functools import cache
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

    return cache(lambda *overrides: composed(overrides))


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


def added(path: Path) -> list[str]:
    """The words of a study's second command, as its header says them; none where it has one command only."""
    header = " ".join(line.removeprefix("# ") for line in path.read_text().splitlines() if line.startswith("#"))
    found = re.search(r"[Aa]dd (\w+=.*?output_dir=[\w/]+)", header)
    return shlex.split(found[1]) if found else []


SECOND = {path.stem: words for path in STUDIES if (words := added(path))}
"""The words that make a simulated study a measured one, or the other way round, by study."""
MEASURED = sorted(SECOND.keys() - {"roofline", "streamlined_table_2"})
"""Of these, the simulated ones."""


def test_every_simulated_study_has_a_second_command(swept: Callable) -> None:
    simulated = {
        path.stem for path in STUDIES if swept(f"study={path.stem}").hydra.runtime.choices.execution == "simulate"
    }
    of_machines = {"published_gpu"}  # what it is held against was measured elsewhere
    assert simulated == (SECOND.keys() | of_machines) - {"streamlined_table_2"}


@pytest.mark.parametrize("study", MEASURED)
def test_studies_are_simulated_at_paper_scale_and_measured_at_smoke_with_the_words_of_their_header(
    study: str, swept: Callable
) -> None:
    from suite.composition import words_by_key

    typed = words_by_key(SECOND[study])
    once = [word for word in SECOND[study] if not typed[word.split("=")[0]].is_sweep_override()]
    config, measured = swept(f"study={study}"), swept(f"study={study}", *once)
    was, now = config.hydra.runtime.choices, measured.hydra.runtime.choices
    assert (was.scale, now.scale) == ("paper", "smoke")
    assert (was.execution, now.execution) == ("simulate", "measure")
    assert measured.machine is None
    assert measured.study == study


@pytest.mark.parametrize("study", SECOND)
def test_what_a_second_command_runs_lies_in_a_folder_of_its_own(study: str, swept: Callable) -> None:
    assert f"output_dir={swept(f'study={study}').output_dir}" not in SECOND[study]


@pytest.mark.parametrize(("study", "other"), SHARED.items(), ids=list(SHARED))
def test_measured_runs_are_shared_as_simulated_ones_are(study: str, other: str, swept: Callable) -> None:
    """But for roofline's, whose bytes a measured run does not tell: simulated models of that size, in their own folder."""
    words, theirs = SECOND[study], SECOND[other]
    assert words == theirs if study != "roofline" else words == ["scale=smoke", "output_dir=outputs/roofline_smoke"]


def test_every_rung_of_the_ladder_extends_the_one_before(swept: Callable) -> None:
    stacks = yaml.safe_load(f"[{swept('study=ladder').hydra.sweeper.params.optimization}]")
    first, *rungs = [[stack] if isinstance(stack, str) else stack for stack in stacks]
    assert first == ["baseline_attention"]
    assert rungs == [rungs[-1][:height] for height in range(1, len(rungs) + 1)]


@pytest.mark.parametrize("study", ["precision_ladder", "pareto"])
def test_half_precision_is_beside_float32(study: str, swept: Callable) -> None:
    assert swept(f"study={study}").device.precision == "float32"
    assert "bf16" in choices(swept(f"study={study}"))["optimization"]
