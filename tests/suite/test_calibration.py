"""Calibration: known efficiencies are found again in noisy synthetic runs, and the error is that of runs left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from suite import record_folder
from suite.calibration import calibrate, cells, configuration, fit, predicted_s
from suite.errors import ConfigError
from suite.machine import Calibration, Efficiency, Machine
from suite.record import Outcome, Record, Sample, WorkloadFacts
from suite.record_tables import TABLES
from suite.roofline import estimate
from suite.simulation.__main__ import main

MACHINE = Machine(name="toy", peak_flops_per_s={"float32": 1e12}, bandwidth_bytes_per_s=1e11)
TRUTH = {
    "linear": Efficiency(compute=0.6, memory=0.4, latency_s=2e-5),
    "elementwise": Efficiency(memory=0.7, latency_s=5e-6),
}


def simulated_rows(seed: int) -> pa.Table:
    """Rows over five decades of size, so that arithmetic, traffic and latency each rule some."""
    random = np.random.default_rng(seed)
    rows = []
    for index in range(120):
        flops, moved = 10 ** random.uniform(5, 11), 10 ** random.uniform(4, 9)
        name = "linear" if index % 2 else "elementwise"
        rows.append(
            {"stage": "denoise_step", "step": 0, "module": f"denoiser.{index}", "operator": f"aten::{name}",
             "operator_class": name, "precision": "float32", "calls": int(random.integers(1, 5)), "flops": int(flops),
             "bytes_read": int(moved), "bytes_written": int(moved / 2)}
        )  # fmt: skip
    return pa.Table.from_pylist(rows, schema=TABLES["operators"])


def measured_rows(simulated: pa.Table, noise: float, seed: int) -> pa.Table:
    """What a machine of `TRUTH` would have taken, its seconds at an operator that the simulation does not know."""
    exact = estimate(simulated, msgspec.structs.replace(MACHINE, calibration=Calibration(
        machine="toy", efficiencies=TRUTH, runs=[]))).seconds  # fmt: skip
    noisy = exact * np.exp(noise * np.random.default_rng(seed).standard_normal(len(exact)))
    rows = simulated.to_pylist()
    kept = [row | {"operator": "mkldnn", "host_self_s": float(took), "bytes_read": None, "bytes_written": None}
            for row, took in zip(rows, noisy, strict=True)]  # fmt: skip
    unattributed = {"stage": "denoise_step", "operator": "unattributed", "operator_class": "other", "host_self_s": 1.0}
    return pa.Table.from_pylist([*kept, unattributed], schema=TABLES["operators"])


def run(name: str, execution: str, latency_s: float | None = None, **config: Any) -> Record:
    samples = [] if latency_s is None else [Sample(metric="latency_s", value=latency_s)]
    return Record(
        run_id=f"{name}-{execution}", name=name, created="2026-01-01T00:00:00+00:00", execution=execution,
        outcome=Outcome(status="ok"), workload=WorkloadFacts(name=name), samples=samples,
        config={"workload": {"name": name}, "device": {"precision": "float32", "name": "cpu"}, "optimization": {}} | config,
    )  # fmt: skip


def synthetic(seed: int, noise: float = 0.1) -> Any:
    simulated = simulated_rows(seed)
    measured = measured_rows(simulated, noise, seed + 100)
    latency = float(np.nansum(measured["host_self_s"].to_numpy())) - 1.0
    return cells(run(f"toy{seed}", "measure", latency), measured, simulated, MACHINE)


def test_known_efficiencies_are_found_again() -> None:
    found = fit([synthetic(seed) for seed in range(4)])
    assert found["linear"].compute == pytest.approx(0.6, rel=0.1)
    assert found["linear"].memory == pytest.approx(0.4, rel=0.1)
    assert found["linear"].latency_s == pytest.approx(2e-5, rel=0.3)
    assert found["elementwise"].memory == pytest.approx(0.7, rel=0.1)
    assert found["elementwise"].compute == 1.0, "no matrix units: nothing to fit"


def test_without_noise_the_fit_is_exact() -> None:
    runs = [synthetic(seed, noise=0.0) for seed in range(2)]
    np.testing.assert_allclose(predicted_s(runs[0], fit(runs)), runs[0].measured_s, rtol=1e-3)


def test_the_error_is_that_of_runs_left_out() -> None:
    """A run twice as slow as the others is predicted at half its time, and the worst error says so."""
    runs = [synthetic(seed) for seed in range(3)]
    odd = synthetic(7)
    odd.measured_s[:] = 2 * odd.measured_s
    slow = replace(odd, latency_s=2 * odd.latency_s)
    found = calibrate([*runs, slow], MACHINE)
    assert found.largest_relative_error == pytest.approx(0.5, abs=0.1)
    assert found.runs == ["toy0", "toy1", "toy2", "toy7"]
    honest = calibrate([synthetic(seed) for seed in range(4)], MACHINE)
    assert honest.relative_error is not None
    assert honest.relative_error < 0.1


def test_one_run_has_no_error_and_none_is_refused() -> None:
    assert calibrate([synthetic(0)], MACHINE).relative_error is None
    with pytest.raises(ConfigError, match="RUNS"):
        calibrate([], MACHINE)


def test_what_only_the_measurement_knows_is_no_cell() -> None:
    found = synthetic(0)
    assert set(found.operator_class) == {"linear", "elementwise"}
    assert found.whole_s == pytest.approx(found.latency_s)


def test_a_configuration_is_the_work_and_not_where_it_was_done() -> None:
    assert configuration(run("a", "measure")) == configuration(run("a", "simulate", machine={"name": "toy"}))
    assert configuration(run("a", "measure")) != configuration(run("b", "measure"))
    half = run("a", "measure", device={"precision": "bfloat16"})
    assert configuration(run("a", "measure")) != configuration(half)


def save_pair(folder: Path, seed: int) -> None:
    simulated = simulated_rows(seed)
    measured = measured_rows(simulated, 0.1, seed)
    record_folder.save(run(f"toy{seed}", "simulate"), {"operators": simulated}, folder / f"simulated{seed}")
    record_folder.save(run(f"toy{seed}", "measure", 0.1), {"operators": measured}, folder / f"measured{seed}")


def test_the_command_writes_a_calibration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(2):
        save_pair(tmp_path, seed)
    record_folder.save(run("alone", "measure", 0.1), {}, tmp_path / "alone")
    out = tmp_path / "fitted.json"
    assert main(["calibrate", str(tmp_path), "--machine", "a100_80gb", "--out", str(out)]) == 0
    found = msgspec.json.decode(out.read_bytes(), type=Calibration)
    assert found.machine == "NVIDIA A100 80GB SXM"
    assert sorted(found.runs) == ["toy0", "toy1"]
    told = capsys.readouterr()
    assert "off its measured latency" in told.out
    assert "alone has no simulation beside it" in told.err


def test_the_command_complains_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", str(tmp_path), "--machine", "abacus"]) == 2
    assert "--machine abacus" in capsys.readouterr().err
    assert main(["calibrate", str(tmp_path), "--machine", "t4"]) == 2
    assert "no measured run" in capsys.readouterr().err
