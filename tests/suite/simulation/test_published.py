"""`suite.simulation.published` and its command: calibrations from published rows and simulations, and how good they are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from conftest import ROOT

from reports.loading import load
from reports.published_gpu import errors, published_gpu
from suite.machine import Calibration, published_calibrations
from suite.published_gpu import published_rows
from suite.simulation.__main__ import main
from suite.simulation.published import _energies


def test_energies_are_beside_the_latency_of_the_same_run() -> None:
    pairs = _energies(published_rows())
    assert len(pairs) == sum(row.quantity == "energy" for row in published_rows())
    seconds = next(seconds for _, seconds, joules in pairs if joules == 6678.8)
    assert seconds == 7.7549
    assert all(0 < joules / seconds < (machine.power_w or 0) for machine, seconds, joules in pairs), (
        "below the board's power"
    )


def test_folders_without_a_row_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", str(tmp_path), "--published", "--out", str(tmp_path / "out.json")]) == 2
    captured = capsys.readouterr()
    assert "no simulation of a published row is there" in captured.err
    assert len(captured.err.splitlines()) == 1
    assert not (tmp_path / "out.json").exists()


@pytest.mark.slow
def test_what_is_shipped_is_what_the_commands_make_and_is_as_good_as_the_docs_say(tmp_path: Path) -> None:
    """All published rows: peaks that nothing was fitted to, times of models and of GPU families that no fit had seen."""
    folder, out = tmp_path / "runs", tmp_path / "calibrations.json"
    words = [sys.executable, "run.py", "study=published_gpu", f"output_dir={folder}"]
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
    assert main(["calibrate", str(folder), "--published", "--out", str(out)]) == 0
    made = msgspec.json.decode(out.read_bytes(), type=dict[str, Calibration])
    shipped = published_calibrations()
    assert made.keys() == shipped.keys()
    for name, calibration in made.items():
        assert calibration.runs == shipped[name].runs
        ours, theirs = (
            [reached.compute for reached in one.efficiencies.values()] for one in (calibration, shipped[name])
        )
        assert ours == pytest.approx(theirs, rel=0.02)
    frame = published_gpu(load(folder).readable())
    unseen = errors(frame, "latency", left_out=True)
    assert unseen.median() < 0.1
    assert (unseen <= 0.2).mean() >= 0.8
    of_families = [one.relative_error for one in made.values() if "families" in (one.left_out or "")]
    assert max(of_families) < 0.2  # type: ignore[type-var]
    assert errors(frame, "energy").median() < 0.2
    assert errors(frame, "allocated").median() < 0.02
    assert errors(frame, "reserved").max() < 0.08
    judged = frame[(frame["quantity"] == "latency") & (frame["workload"] == "flux") & (frame["batch"] == 1)]
    flux = {row["id"]: row for row in judged.to_dict("records")}
    published, simulated = (
        flux["mlenergy-flux-h100-b1-lat"][column] / flux["mlenergy-flux-b200-b1-lat"][column]
        for column in ("published", "simulated")
    )
    assert simulated == pytest.approx(published, rel=0.15), "a B200 over an H100, ranked as they are"
    assert np.isfinite(frame["ratio"].astype(float)).all()
