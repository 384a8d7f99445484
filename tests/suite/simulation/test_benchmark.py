"""This machine, measured (suite.simulation.benchmark) and its command (suite.simulation.__main__)."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import torch

from suite.errors import ConfigError
from suite.machine import Machine
from suite.simulation import benchmark
from suite.simulation.__main__ import main
from suite.simulation.benchmark import cache_path, this_machine


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(benchmark, "LEAST_TRIAL_S", 0.001)
    monkeypatch.setattr(benchmark, "NUM_TRIALS", 2)
    monkeypatch.setattr(
        benchmark, "SIZES", {"cpu": (256, 32, 32)}
    )  # float16 takes seconds at the size that is measured
    return tmp_path


def test_it_is_measured_once_and_kept(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = this_machine("cpu")
    assert "measuring this machine" in capsys.readouterr().err
    assert this_machine("cpu") == first
    assert capsys.readouterr().err == ""
    (kept,) = cache.rglob("*.json")
    assert kept == cache_path("cpu")
    kept.write_text("{")
    with pytest.raises(ConfigError, match="delete it"):
        this_machine("cpu")


def test_figures_are_of_this_world(cache: Path) -> None:
    found = this_machine("cpu")
    assert found.bandwidth_bytes_per_s is not None
    assert found.launch_overhead_s is not None
    assert 1e8 < found.bandwidth_bytes_per_s < 1e13
    assert 1e-8 < found.launch_overhead_s < 1e-3
    assert 1e8 < (found.peak_flops_per_s["float32"] or 0) < 1e16
    assert found.peak_flops_per_s["tf32"] is None, "a CPU has none"
    assert found.price_per_hour_usd is None
    assert set(found.sources) == {"peak_flops_per_s", "bandwidth_bytes_per_s", "launch_overhead_s", "capacity_bytes"}


def test_another_number_of_threads_is_another_machine(cache: Path) -> None:
    before = torch.get_num_threads()
    alone = cache_path("cpu")
    try:
        torch.set_num_threads(before + 1)
        assert cache_path("cpu") != alone
    finally:
        torch.set_num_threads(before)


def test_the_number_of_threads_is_set_for_the_measurement_alone(cache: Path) -> None:
    before = torch.get_num_threads()
    this_machine("cpu", num_threads=before + 1)
    assert torch.get_num_threads() == before
    assert not cache_path("cpu").exists(), "it was kept as the other machine"


def test_the_command_measures_again(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "--device", "cpu"]) == 0
    told = msgspec.json.decode(capsys.readouterr().out, type=Machine)
    assert told == this_machine("cpu")
