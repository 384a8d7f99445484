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

CAPABILITY = {
    "volta": "7.0", "turing": "7.5", "ampere": "8.0", "ampere_ga10x": "8.6", "ada": "8.9", "hopper": "9.0",
    "blackwell": "10.0", "blackwell_rtx": "12.0", "cdna3": None,
}  # fmt: skip
"""Of every chip of a family; AMD's have none."""
STATED_GB = {
    "a100_40gb": 40, "a100_80gb": 80, "a100_pcie_80gb": 80, "a10g": 24, "a6000": 48, "b200": 180, "gb200": 186, "h100": 80,
    "h100_nvl": 94, "h100_pcie": 80, "h20": 96, "h200": 141, "h800": 80, "l20": 48, "l4": 24, "l40s": 48, "mi300x": 192,
    "rtx_2080ti": 11, "rtx_3090": 24, "rtx_4090": 24, "rtx_5090": 32, "t4": 16, "v100": 32, "v100_16gb": 16,
}  # fmt: skip
"""What vendors call the size of the memory. Theirs are gibibytes, less what error correction and the driver take."""


def test_every_file_is_a_machine_but_this_one() -> None:
    files = {path.stem for path in (ROOT / "conf" / "machine").glob("*.yaml")}
    assert set(machines()) == files - {"this"}
    assert set(STATED_GB) <= files


@pytest.mark.parametrize("name", STATED_GB)
def test_drivers_report_what_vendors_state_less_a_tenth_at_most(name: str) -> None:
    capacity = machines()[name].capacity_bytes
    assert capacity is not None
    assert 0.9 * STATED_GB[name] * 2**30 < capacity <= STATED_GB[name] * 2**30


@pytest.mark.parametrize("name", sorted(machines()))
def test_a_family_has_one_capability_and_its_number_formats(name: str) -> None:
    found = machines()[name]
    assert found.family in CAPABILITY
    assert found.compute_capability == CAPABILITY[found.family]
    assert found.reported_as, "a measured run knows its machine by the driver's name"
    peaks = found.peak_flops_per_s
    since = tuple(int(part) for part in (found.compute_capability or "9.4").split("."))
    assert (peaks["bfloat16"] is not None) == (peaks["tf32"] is not None) == (since >= (8, 0))
    assert (peaks["float8"] is not None) == (since >= (8, 9))
    assert peaks["float32"]
    assert peaks["float16"]
    assert peaks["float32"] < peaks["float16"]
    if peaks["bfloat16"]:
        assert peaks["bfloat16"] == peaks["float16"]
    if peaks["tf32"]:
        assert peaks["float16"] / peaks["tf32"] == pytest.approx(2, rel=0.03)
    if peaks["float8"]:
        assert peaks["float8"] / peaks["float16"] == pytest.approx(2, rel=0.03)
    if peaks["int8"]:  # 4 where float16 is at half rate for its float32 sums
        assert round(peaks["int8"] / peaks["float16"], 1) in (2, 4)


@pytest.mark.parametrize("name", sorted(machines()))
def test_a_context_and_links_are_small_beside_the_memory(name: str) -> None:
    found = machines()[name]
    assert found.bandwidth_bytes_per_s
    assert found.capacity_bytes
    assert found.usable_bytes is not None
    assert found.usable_bytes > 0.97 * found.capacity_bytes
    for link in (found.host_bandwidth_bytes_per_s, found.peer_bandwidth_bytes_per_s):
        assert link is None or link < found.bandwidth_bytes_per_s / 4
    assert found.host_bandwidth_bytes_per_s


def test_no_two_machines_are_known_by_one_name() -> None:
    names = [name for found in machines().values() for name in found.reported_as]
    assert len(names) == len(set(names))


def test_an_h200_is_what_was_seen_on_one() -> None:
    """Every check of the published H200 noted the device; three of memory what NVML saw besides what torch reserved."""
    checks = [
        msgspec.json.decode(path.read_bytes()) for path in (ROOT / "reports/published/h200/checks").glob("*.json")
    ]
    h200 = machines()["h200"]
    for gpu in (check["device"]["gpu"] for check in checks):
        assert gpu["name"] in h200.reported_as
        assert gpu["memory_bytes"] == h200.capacity_bytes
        assert gpu["compute_capability"] == h200.compute_capability
    (memory,) = (check for check in checks if check["check"] == "memory")
    seen = [one["figures"]["context_bytes"] for one in memory["verdicts"].values() if "context_bytes" in one["figures"]]
    assert len(seen) == 3
    assert min(seen) <= (h200.context_bytes or 0) <= max(seen)


def test_a_machine_whose_context_nobody_knows_leaves_all_its_memory() -> None:
    assert Machine(name="x", capacity_bytes=100).usable_bytes == 100
    assert Machine(name="x", capacity_bytes=100, context_bytes=7).usable_bytes == 93
    assert Machine(name="x", context_bytes=7).usable_bytes is None


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
