"""The order in which runs stand: it depends on their names alone, never on the folders they lie in."""

from __future__ import annotations

from pathlib import Path

from reports.comparison import in_order
from reports.loading import load
from tests.reports.synthetic import make_run


def test_groups_stand_in_the_order_of_their_names(tmp_path: Path) -> None:
    for folder, name in (("c", "model-9"), ("a", "model-12"), ("b", "a-model")):
        make_run(tmp_path, "parti", shown=name, folder=folder, num_trials=1)
    assert in_order(load(tmp_path))["group"].tolist() == ["a-model", "model-9", "model-12"]
