"""What is loaded of what lies in folders, and what is said of the rest."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from reports.loading import NoRunsError, load
from reports.tables import outcomes
from suite.record_folder import load as load_record
from suite.record_folder import save
from tests.reports.synthetic import make_run


def test_nothing_to_load(tmp_path: Path) -> None:
    with pytest.raises(NoRunsError, match="holds no runs"):
        load(tmp_path)
    with pytest.raises(NoRunsError, match="not a folder"):
        load(tmp_path / "nowhere")


def test_of_two_runs_of_one_configuration_the_later_counts_and_the_other_is_named(tmp_path: Path) -> None:
    first = make_run(tmp_path, "parti", num_trials=2, folder="a")
    later = msgspec.structs.replace(load_record(first), created="2027-01-01T00:00:00+00:00")
    save(later, {}, tmp_path / "b")
    runs = load(tmp_path)
    assert [folder.name for folder in runs.folders] == ["b"]
    assert runs.problems == []
    (sentence,) = runs.repeated
    assert sentence.startswith(str(first))
    assert "an earlier run of the same configuration" in sentence
    assert load(tmp_path).readable().repeated == [sentence]
    (*_, last) = outcomes.build(runs).to_dict("records")
    assert (last["outcome"], last["reason"]) == ("repeated", sentence)
