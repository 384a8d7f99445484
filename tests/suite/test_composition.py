"""Words to experiments without Hydra's command line: the same run, the same complaints."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml
from conftest import ROOT

from suite.composition import chosen, composed, experiment_of, words_by_key
from suite.errors import ConfigError

WORDS = ["workload=parti", "optimization=[baseline_attention]", "request.num_inference_steps=3", "device=cpu"]


def test_it_is_what_the_command_line_composes() -> None:
    command = [sys.executable, str(ROOT / "run.py"), *WORDS, "--cfg", "job"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    config, choices = chosen(WORDS)
    from omegaconf import OmegaConf

    assert OmegaConf.to_container(config) == yaml.safe_load(shown)
    assert choices["workload"] == "parti"


def test_a_study_s_sweep_is_told() -> None:
    assert "workload" in composed(["study=pareto"]).hydra.sweeper.params


def test_the_experiment_knows_its_words() -> None:
    experiment = experiment_of(WORDS)
    assert experiment.workload_name == "parti"
    assert list(experiment.stack) == ["baseline_attention"]
    assert experiment.command.split() == WORDS or "request.num_inference_steps=3" in experiment.command


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("workload=party", "did you mean parti"),
        ("request.heiight=3", "request.heiight"),
        ("request.height=x", "Integer"),
    ],
)
def test_complaints_are_sentences(word: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        composed([word])


def test_what_is_typed_stands_before_the_study_s_sweep_and_later_words_for_earlier_ones() -> None:
    found = words_by_key(["study=pareto", "workload=muse", "scale=smoke", "workload=parti"])
    assert found["workload"].input_line == "workload=parti"
    assert found["optimization"].is_sweep_override()
    assert found["scale"].input_line == "scale=smoke"
    with pytest.raises(ConfigError):
        words_by_key(["scale=(("])
