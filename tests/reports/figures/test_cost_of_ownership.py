"""The figure of costs: what is drawn where, read back from its artists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reports import load
from reports.cost_of_ownership import short_name
from reports.exhibits import draw_figure
from reports.figures import cost_of_ownership
from reports.style import house_style
from suite.estimates import known_machines
from suite.record import Energy
from tests.reports.ownership_records import GB, save_measured, save_simulated

pytestmark = pytest.mark.usefixtures("rooflines")

MACHINES = list(known_machines().values())


def drawn(folder: Path) -> Any:
    with house_style():
        return cost_of_ownership.draw(load(folder))


def marks(axes: Any, marker: str) -> list[tuple[float, float]]:
    """(x, y) of every mark of a kind."""
    lines = [line for line in axes.get_lines() if line.get_marker() == marker]
    return [(float(x), float(y)) for line in lines for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)]


def test_a_dot_where_it_fits_and_a_cross_where_it_does_not(tmp_path: Path) -> None:
    save_simulated(tmp_path)
    save_simulated(tmp_path, ["fewer_steps"], seconds=1.44, peak_gb=1)
    prices, energies = drawn(tmp_path).axes
    labels = [label.get_text() for label in prices.get_yticklabels()]
    machine = labels.index("A100 80GB SXM\n1.39 USD/h")
    assert sorted(x for x, y in marks(prices, "o") if round(y) == machine) == pytest.approx([0.278, 0.695])
    assert sorted(x for x, y in marks(energies, "o") if round(y) == machine) == pytest.approx([0.08, 0.2])
    too_small = sorted(short_name(known.name) for known in MACHINES if (known.usable_bytes or 0) < 20 * GB)
    assert sorted(labels[round(y)].split("\n")[0] for _, y in marks(prices, "x")) == too_small, "1 GB is for all"
    unpriced = [known for known in MACHINES if known.price_per_hour_usd is None]
    assert [text.get_text() for text in prices.texts] == ["price unknown"] * len(unpriced)
    assert list(energies.texts) == []


def test_what_is_measured_is_drawn_as_measured(tmp_path: Path) -> None:
    energy = Energy(covers="gpu_board")
    save_measured(tmp_path, "NVIDIA H200", latencies_s=(7.2,), joules=(720.0,), energy=energy)
    prices, energies = drawn(tmp_path).axes
    assert marks(prices, "o") == [(pytest.approx(3.59), 0)]
    assert marks(energies, "o") == [(pytest.approx(0.1), 0)]
    caption = cost_of_ownership.caption(load(tmp_path))
    assert "Energy: measured, GPU board." in caption
    assert "Time: measured." in caption


def test_it_says_what_it_stands_on(tmp_path: Path) -> None:
    with house_style():
        figure = draw_figure(cost_of_ownership, load(save_simulated(tmp_path)))
    assert figure is not None
    assert figure.files["png"].startswith(b"\x89PNG")
    for words in (
        "lower bound",
        "no bound: board power for a time that is bounded from below",
        "RunPod's lowest (spot) rate, March 2026",
        "RTX 2080 Ti",
    ):
        assert words in figure.caption
    too_small = sum((known.usable_bytes or 0) < 20 * GB for known in MACHINES)
    assert (
        f"toy out_of_the_box: does not fit on {too_small} of {len(MACHINES)} machines, cheapest on " in figure.alt_text
    )


def test_no_price_and_no_energy_is_no_figure(tmp_path: Path) -> None:
    save_measured(tmp_path, "A toy", latencies_s=(2.0,), energy=Energy(unavailable="no RAPL package here"))
    assert cost_of_ownership.data(load(tmp_path)).empty


def test_energy_without_a_price_is_drawn(tmp_path: Path) -> None:
    save_measured(tmp_path, "A toy", latencies_s=(2.0,), joules=(36.0,), energy=Energy(covers="cpu_packages"))
    prices, energies = drawn(tmp_path).axes
    assert (marks(prices, "o"), [text.get_text() for text in prices.texts]) == ([], ["price unknown"])
    assert marks(energies, "o") == [(pytest.approx(0.005), 0)]
