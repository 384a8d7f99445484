"""Machines: every file loads, every figure that is known says where it was read, ridges as published."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from suite.errors import ConfigError
from suite.machine import FIGURES, NUMBER_FORMATS, Calibration, Efficiency, Machine, calibrated, machine, machines
from tests.conftest import ROOT


def test_every_file_is_a_machine_but_this_one() -> None:
    files = {path.stem for path in (ROOT / "conf" / "machine").glob("*.yaml")}
    assert set(machines()) == files - {"this"}
    assert {
        "a100_40gb",
        "a100_80gb",
        "h100",
        "h200",
        "b200",
        "l40s",
        "rtx_4090",
        "rtx_3090",
        "rtx_2080ti",
        "t4",
        "mi300x",
    } <= files


@pytest.mark.parametrize("name", sorted(machines()))
def test_known_figures_have_sources_and_unknown_ones_have_none(name: str) -> None:
    found = machines()[name]
    known = {figure for figure in FIGURES if getattr(found, figure)}
    assert known == set(found.sources), "a figure without a source, or a source without a figure"
    assert set(found.peak_flops_per_s) == set(NUMBER_FORMATS), "unknown is written as null"
    assert found.bandwidth_bytes_per_s is not None
    assert found.capacity_bytes is not None


def test_ridges_are_those_of_the_datasheets() -> None:
    known = machines()
    assert known["a100_80gb"].ridge("bfloat16") == pytest.approx(312e12 / 2.039e12)
    assert known["a100_80gb"].ridge("bfloat16") == pytest.approx(153, abs=0.5)
    assert known["h200"].ridge("float16") == pytest.approx(989 / 4.8, rel=1e-3)
    assert known["t4"].ridge("bfloat16") is None
    assert known["t4"].is_recalled("price_per_hour_usd")
    assert not known["a100_80gb"].is_recalled("bandwidth_bytes_per_s")


def node(**figures: Any) -> dict[str, Any]:
    """What a YAML file of a machine that nobody knows would hold, with the given figures in it."""
    empty = dict.fromkeys((*FIGURES, "family", "calibration"))
    return empty | {"name": "x", "reported_as": [], "peak_flops_per_s": {}, "sources": {}} | figures


@pytest.mark.parametrize(
    "figures",
    [
        {"bandwidth_bytes_per_s": "fast"},
        {"bandwidth_bytes_per_s": 0.0},
        {"capacity_bytes": 0.5},
        {"peak_flops_per_s": {"float12": 1.0}},
        {"peak_flops_per_s": {"float32": -1.0}},
    ],
)
def test_a_wrong_figure_is_said(figures: dict) -> None:
    assert machine(**node()).bandwidth_bytes_per_s is None
    with pytest.raises(ConfigError, match="machine=x"):
        machine(**node(**figures))


def test_a_calibration_belongs_to_its_machine(tmp_path: Path) -> None:
    path = tmp_path / "toy.json"
    fitted = Calibration(machine="toy", efficiencies={"linear": Efficiency(compute=0.5)}, runs=["a"])
    path.write_bytes(msgspec.json.encode(fitted))
    assert calibrated(Machine(name="toy"), str(path)).calibration == fitted
    with pytest.raises(ConfigError, match="made on toy, and not on other"):
        machine(**node(name="other", calibration=str(path)))
    with pytest.raises(ConfigError, match="not a calibration"):
        machine(**node(calibration=str(tmp_path / "none.json")))


def test_only_a_run_with_a_machine_has_it_in_its_identity(experiment: Callable) -> None:
    plain, priced = experiment(), experiment("machine=a100_80gb")
    assert "machine" not in plain.config
    assert plain.machine is None
    assert priced.config["machine"]["name"] == "NVIDIA A100 80GB SXM"
    assert priced.run_id != plain.run_id
    cheaper = experiment("machine=a100_80gb", "machine.price_per_hour_usd=0.01")
    assert cheaper.run_id == priced.run_id, "a price changes no number of a run"
    assert experiment("machine=a100_80gb", "machine.bandwidth_bytes_per_s=1.0e+12").run_id != priced.run_id
