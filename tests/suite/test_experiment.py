"""Experiments: a finished run is recognised, an interrupted or failed one is not, and nothing is overwritten unasked."""

from __future__ import annotations

from pathlib import Path

import pytest
from execution.test_measured import experiment_of
from toy import ToyWorkload

from suite.errors import ConfigError, RunFailedError
from suite.progress import announce


def test_a_finished_run_is_recognised_and_rerun_only_on_request(tmp_path: Path) -> None:
    built = []
    experiment = experiment_of(tmp_path, lambda: built.append(1) or ToyWorkload())
    assert experiment.finished() is None
    first = announce(experiment, rerun=False)
    assert announce(experiment, rerun=False) == first
    assert len(built) == 1
    announce(experiment, rerun=True)
    assert len(built) == 2


def test_a_failed_run_says_so_and_is_tried_again(tmp_path: Path) -> None:
    def explode(call: int) -> None:
        raise RuntimeError("no")

    with pytest.raises(RunFailedError, match="toy-run failed"):
        announce(experiment_of(tmp_path, lambda: ToyWorkload(explode)), rerun=False)
    assert announce(experiment_of(tmp_path), rerun=False).outcome.status == "ok"


def test_another_configuration_of_the_same_name_is_not_mistaken_for_it(tmp_path: Path) -> None:
    announce(experiment_of(tmp_path), rerun=False)
    assert experiment_of(tmp_path, run_id="other").finished() is None


def test_a_corrupt_record_is_a_sentence_and_stays(tmp_path: Path) -> None:
    experiment = experiment_of(tmp_path)
    announce(experiment, rerun=False)
    path = experiment.folder / "record.json"
    path.write_text(path.read_text()[:100])
    with pytest.raises(ConfigError, match="rerun=true"):
        announce(experiment, rerun=False)
    assert len(path.read_text()) == 100
    assert announce(experiment, rerun=True).outcome.status == "ok"


def test_an_interrupted_run_leaves_no_folder(tmp_path: Path) -> None:
    def interrupt(call: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        announce(experiment_of(tmp_path, lambda: ToyWorkload(interrupt)), rerun=False)
    assert not list(tmp_path.iterdir())
