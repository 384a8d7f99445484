"""Published measurements as rows: what each is, how it is simulated, and which run is whose."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from suite.errors import ConfigError
from suite.machine import machines, published_calibrations
from suite.published_gpu import beside, chosen_rows, machine_of, published_rows, runs

ROWS = {row.id: row for row in published_rows()}


def test_every_row_tells_its_source_and_its_machine() -> None:
    for row in ROWS.values():
        assert row.source, row.id
        assert row.value > 0, row.id
        assert machine_of(row).name, row.id
        if row.sim is None:
            assert row.note or row.flags, f"{row.id} does not say why it is not simulated"


def test_amounts_are_in_si_units() -> None:
    assert ROWS["torch20-sd-t4-b4"].amount == pytest.approx(1 / 1.79), "steps a second"
    assert ROWS["torchao-flux-b1-lat"].amount == 6.573
    assert ROWS["torchao-flux-b1-mem"].amount == 33.851 * 2**30
    assert ROWS["sdxlblog-fp16-mem"].amount == 21.72e9, "GB, since its source does not say more"
    assert ROWS["streamlined-SVD-512-mem"].amount == 20.91 * 2**30
    assert ROWS["mlenergy-flux-b200-b1-energy"].amount == 6678.8


def test_a_row_is_a_command_line() -> None:
    assert ROWS["fast-sdxl-noSDPA"].overrides() == [
        "workload=prod_image", "request.batch_size=1", "request.height=1024", "request.width=1024",
        "request.num_inference_steps=30", "request.guidance_scale=5.0", "device.precision=bfloat16", "machine=a100_80gb",
        "optimization=[eager_attention]",
    ]  # fmt: skip
    assert ROWS["fast-sdxl-fp32"].overrides()[-1] == "device.allow_tf32_matmul=true"
    with pytest.raises(ConfigError, match="fast-sdxl-compile: cannot be simulated"):
        ROWS["fast-sdxl-compile"].overrides()


def test_runs_are_made_once() -> None:
    pair = [ROWS["mlenergy-flux-b200-b1-lat"], ROWS["mlenergy-flux-b200-b1-energy"], ROWS["fast-sdxl-compile"]]
    assert runs(pair) == [pair[0].overrides()]
    everything = runs(ROWS.values())
    assert len(everything) == len({tuple(words) for words in everything})


def test_a_run_is_that_of_the_row_whose_words_it_has() -> None:
    row, own = ROWS["torchao-flux-b1-lat"], " ".join(ROWS["torchao-flux-b1-lat"].overrides())
    commands = {
        "sliced": f"{own} optimization=vae_slicing",
        "other seed": f"{own} study=published_gpu request.seed=3",
        "its own": f"{own} study=published_gpu execution=simulate scale=paper",
        "another machine": own.replace("h100", "b200"),
    }
    assert beside([row], {Path(name): command for name, command in commands.items()}) == {row.id: Path("its own")}
    del commands["its own"], commands["other seed"]
    assert beside([row], {Path(name): command for name, command in commands.items()}) == {}


def test_what_a_row_leaves_open_may_be_typed() -> None:
    row = ROWS["mlenergy-flux-h100-b1-lat"]
    assert row.guidance is None
    (found,) = beside([row], {Path("same"): " ".join([*row.overrides(), "request.guidance_scale=3.5"])}).values()
    assert found == Path("same")


def test_rows_of_another_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.yaml"
    path.write_text("- id: mine\n")
    with pytest.raises(ConfigError, match="not a list of published measurements"):
        published_rows(path)
    with pytest.raises(ConfigError, match="No such file"):
        published_rows(tmp_path / "none.yaml")
    text = files("suite").joinpath("published_gpu.yaml").read_text()
    path.write_text(text.replace("unit: GiB", "unit: stones"))
    with pytest.raises(ConfigError, match="unit stones: bytes are in GB, GiB, G"):
        published_rows(path)
    assert [row.id for row in chosen_rows(None, ["torch20-xl-t4"])] == ["torch20-xl-t4-b1", "torch20-xl-t4-b4"]
    with pytest.raises(ConfigError, match="no row's id begins so"):
        chosen_rows(None, ["nothing"])


def test_every_machine_comes_with_a_calibration_that_says_how_good_it_is() -> None:
    shipped = published_calibrations()
    measured_on = {machine_of(row).name for row in ROWS.values() if row.is_time and row.sim is not None}
    for found in machines().values():
        assert found.calibration == shipped[found.name]
        assert found.calibration.relative_error is not None
        own = found.name in measured_on
        assert (found.calibration.basis or "").endswith("on this machine") == own
        assert set(found.calibration.errors) == set(found.calibration.runs if own else ())
        assert all(0 < reached.compute <= 1 for reached in found.calibration.efficiencies.values())
