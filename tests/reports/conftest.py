"""One synthetic study and one report of it, shared by the tests that only read them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reports.exhibits import FigureExhibit, TableExhibit, figures, tables
from reports.loading import load
from reports.runs import Runs
from suite.estimates import known_machines
from tests.reports.synthetic import make_study


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("study")
    make_study(root)
    return root


@pytest.fixture(scope="session")
def runs(study: Path) -> Runs:
    return load(study).readable()


@pytest.fixture(scope="session")
def drawn(runs: Runs) -> dict[str, FigureExhibit]:
    return {figure.name: figure for figure in figures(runs)}


@pytest.fixture(scope="session")
def built(runs: Runs) -> dict[str, TableExhibit]:
    return {table.name: table for table in tables(runs)}


@pytest.fixture(scope="module")
def rooflines() -> Iterator[None]:
    """Machines without the calibrations that they come with, so that times can be worked out by hand."""
    known_machines.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("suite.machine.published_calibrations", dict)
        yield
    known_machines.cache_clear()
