"""Rungs of precision, layout and compilers with times, peaks, prices and outputs that are known.

Names for the mirror: reports.tables.precision_ladder, reports.figures.precision_ladder.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from reports import load
from reports.exhibits import build_table, draw_figure
from reports.figures import precision_ladder as figure
from reports.precision_ladder import precision_ladder
from reports.style import house_style
from reports.tables import precision_ladder as table
from suite.estimates import known_machines
from suite.record import Outcome, Sample
from tests.reports.streamlined_records import GIB, SECOND, save_run

pytestmark = pytest.mark.usefixtures("rooflines")

TIMES = "\N{MULTIPLICATION SIGN}"
UNSUPPORTED = Outcome(status="unsupported", reason="only compiling tells")


def timed(
    folder: Path, stack: Sequence[str], seconds: float, peak_gib: float, first_s: float, **fidelity: float
) -> None:
    samples = [
        Sample(metric="latency_s", value=value, trial=trial, arm=arm)
        for arm, value in (("stack", seconds), ("out_of_the_box", 4.0))
        for trial in range(6)
        if stack or arm == "stack"
    ]
    samples += [
        Sample(metric="latency_s", value=first_s, warmup=True),
        Sample(metric="latency_s", value=9.0, trial=1, warmup=True),
    ]
    samples += [Sample(metric=name, value=value) for name, value in fidelity.items()]
    save_run(
        folder, stack, peak_gib, samples=samples, exact="bf16" not in stack, config={"device": {"precision": "float32"}}
    )


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    timed(tmp_path, (), 4.0, 20, 5.0)
    timed(tmp_path, ("torch_compile",), 3.0, 20, 90.0, max_relative_error=1e-6, psnr_db=120.0)
    timed(
        tmp_path, ("bf16",), 1.0, 10, 2.0, max_relative_error=0.03, psnr_db=46.8, ssim=0.99, latent_relative_error=0.01
    )
    timed(tmp_path, ("bf16", "torch_compile"), 0.5, 10, 80.0, max_relative_error=0.03, psnr_db=46.0)
    timed(tmp_path, ("vae_slicing",), 4.0, 8, 5.0)
    return tmp_path


@pytest.fixture
def simulated(tmp_path: Path) -> Path:
    save_run(tmp_path, (), 20, [4 * SECOND] * 4)
    save_run(tmp_path, ("channels_last",), 20, [4 * SECOND] * 4)
    save_run(tmp_path, ("fp16",), 10, [SECOND] * 4, exact=False)
    save_run(tmp_path, ("torch_compile",), outcome=UNSUPPORTED)
    return tmp_path


def test_rungs_come_after_the_workload_out_of_the_box_half_precision_first_and_stacks_last(measured: Path) -> None:
    frame = precision_ladder(load(measured))
    assert frame["stack"].tolist() == ["out_of_the_box", "bf16", "torch_compile", "bf16+torch_compile"]
    assert frame["relative_time"].tolist() == pytest.approx([1, 1 / 4, 3 / 4, 1 / 8])
    assert frame["relative_memory"].tolist() == pytest.approx([1, 1 / 2, 1, 1 / 2])
    assert frame["seconds"].tolist() == pytest.approx([4, 1, 3, 0.5])


def test_the_first_generation_stands_apart_from_the_trials(measured: Path) -> None:
    assert precision_ladder(load(measured))["first_s"].tolist() == [5.0, 2.0, 90.0, 80.0]


def test_a_price_is_that_of_the_machine_that_a_run_was_estimated_for(simulated: Path) -> None:
    machine = known_machines()["a100_80gb"]
    frame = precision_ladder(load(simulated)).set_index("stack")
    assert machine.price_per_hour_usd is not None
    assert frame.loc["fp16", "usd_per_1000"] == pytest.approx(4 / 3600 * machine.price_per_hour_usd * 1000)
    assert frame.loc["fp16", ["seconds", "relative_time"]].tolist() == pytest.approx([4, 1 / 4])
    assert frame.loc["fp16", "machine"] == machine.name
    assert frame.loc["fp16", "peak_bytes"] == 10 * GIB


def test_what_did_not_run_says_why_and_has_no_numbers(simulated: Path) -> None:
    row = precision_ladder(load(simulated)).set_index("stack").loc["torch_compile"]
    assert (row["outcome"], row["reason"]) == ("unsupported", "only compiling tells")
    assert row[["seconds", "relative_time", "peak_bytes", "usd_per_1000"]].isna().all()


def test_other_optimizations_make_no_ladder(tmp_path: Path) -> None:
    save_run(tmp_path, (), 20)
    save_run(tmp_path, ("vae_slicing",), 10)
    save_run(tmp_path, ("torch_compile",), outcome=UNSUPPORTED)
    runs = load(tmp_path)
    assert precision_ladder(runs).empty
    assert build_table(table, runs) is None
    assert draw_figure(figure, runs) is None


def test_the_table_tells_time_memory_output_and_first_generation(measured: Path) -> None:
    built = build_table(table, load(measured))
    assert built is not None
    rows = [dict(zip(built.rendered.headers, row, strict=True)) for row in built.rendered.rows]
    half = rows[1]
    assert (half["Stack"], half["Built in"], half["Output"], half["PSNR (dB)"]) == (
        "bf16",
        "float32",
        "changed",
        "46.8",
    )
    assert half["Time over out of the box"].startswith(f"0.250{TIMES}")
    assert rows[2]["Output"] == "exact (1e-06)"
    assert rows[2]["First (s)"] == "90.0"


def test_the_figure_tells_every_rung(measured: Path) -> None:
    with house_style():
        drawn = draw_figure(figure, load(measured))
    assert drawn is not None
    assert f"bf16+torch_compile: 8.00{TIMES} faster, 2.00{TIMES} less memory, output changed" in drawn.alt_text
    assert "compilation included" in drawn.caption


def test_a_simulated_figure_has_prices_and_no_distances(simulated: Path) -> None:
    runs = load(simulated)
    drawn = figure.draw(runs)
    assert drawn is not None
    words = {text.get_text() for text in drawn.axes[0].texts}
    assert {"time", "memory", "USD", "unsupported"} <= words
    assert not {"PSNR", "first"} & words
    assert "Did not run: torch compile (unsupported)." in figure.caption(runs)
    labels = [tick.get_text() for tick in drawn.axes[0].get_yticklabels()]
    assert labels == ["out of the box", "fp16", "channels last", "torch compile"]
    assert pd.isna(precision_ladder(runs).set_index("stack").loc["fp16", "first_s"])
