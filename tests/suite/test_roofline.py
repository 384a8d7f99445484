"""Rooflines: a machine whose answers are known in closed form, and brute force over random rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite import record_folder
from suite.machine import Calibration, Efficiency, Machine
from suite.progress import announce
from suite.record_tables import TABLES
from suite.roofline import BOUNDS, estimate, number_format, peaks, with_estimates, work
from suite.tensor_cores import ALL_TF32, Tf32

TOY = Machine(
    name="toy",
    peak_flops_per_s={"float32": 1e3, "tf32": 4e3, "bfloat16": 8e3, "float8": 1.6e4, "int8": 3.2e4},
    bandwidth_bytes_per_s=100.0,
    launch_overhead_s=0.5,
)


def table(*rows: dict[str, Any]) -> pa.Table:
    plain = {"operator": "aten::mm", "operator_class": "linear", "precision": "float32", "calls": 1, "flops": 0,
             "bytes_read": 0, "bytes_written": 0}  # fmt: skip
    return pa.Table.from_pylist([plain | row for row in rows], schema=TABLES["operators"])


def seconds(*rows: dict[str, Any], machine: Machine = TOY, **options: Any) -> list[float]:
    return estimate(table(*rows), machine, **options).seconds.tolist()


def test_closed_form() -> None:
    rows = (
        {"flops": 5000},  # 5 s of arithmetic
        {"flops": 5000, "bytes_read": 600, "bytes_written": 100},  # 7 s of traffic
        {"operator_class": "elementwise", "flops": 10**9, "bytes_read": 100},  # no matrix units: 1 s of traffic
        {"operator_class": "data_movement", "operator": "aten::view", "calls": 100},  # nothing moves
    )
    found = estimate(table(*rows), TOY)
    assert found.seconds.tolist() == pytest.approx([5, 7, 1, 0])
    assert [BOUNDS[index] for index in found.bound[:3]] == ["compute", "memory", "memory"]
    assert not found.waiting.any(), "4 launches take 2 s, the device 13"


def test_a_host_runs_ahead_of_the_device_within_a_stage() -> None:
    """8 launches of 0.5 s for 0.25 s of work: the device waits only where the rest of the stage is no longer than that."""
    launches, product = {"flops": 250, "calls": 8}, {"flops": 5000}
    hidden = estimate(table(launches, product), TOY)
    assert hidden.seconds.tolist() == [0.25, 5], "while the product runs, the host gets ahead"
    late = estimate(table(launches | {"stage": "decode"}, product | {"stage": "text_encode"}), TOY)
    assert late.seconds.tolist() == [4, 5]
    assert late.waiting.tolist() == [3.75, 0]
    assert [BOUNDS[index] for index in late.bound] == ["launch", "compute"]
    partly = estimate(table(launches, {"flops": 2000}), TOY)
    assert partly.seconds.sum() == 4.5, "9 launches"
    assert partly.seconds.tolist() == [2.5, 2], (
        "the device waits for the rows that are launched more slowly than they run"
    )
    often = estimate(table(launches, {"flops": 2000}), TOY, times=np.array([10, 1]))
    assert often.seconds @ [10, 1] == pytest.approx(81 * 0.5)


def test_number_formats() -> None:
    assert seconds({"flops": 8000}) == [8]
    assert seconds({"flops": 8000}, allow_tf32=ALL_TF32) == [2]
    assert seconds({"flops": 8000, "precision": "bfloat16"}, allow_tf32=ALL_TF32) == [1]
    assert seconds({"flops": 32000, "precision": "float8_e4m3fn"}) == [2]
    assert seconds({"flops": 32000, "precision": None, "operator": "aten::_int_mm"}) == [1]
    without = Machine(name="old", peak_flops_per_s={"float32": 1e3}, bandwidth_bytes_per_s=1.0)
    assert seconds({"flops": 8000}, machine=without, allow_tf32=ALL_TF32) == [8], "no tf32 units: the ordinary ones"
    assert number_format("float32") == "float32"
    assert np.isnan(peaks(table({"precision": None}), TOY)).all()


def test_convolutions_and_products_each_follow_their_own_setting() -> None:
    rows = [{"flops": 8000, "operator_class": name} for name in ("convolution", "linear", "attention")]
    assert seconds(*rows) == [8, 8, 8]
    assert seconds(*rows, allow_tf32=Tf32(matmul=False, cudnn=True)) == [2, 8, 8]
    assert seconds(*rows, allow_tf32=Tf32(matmul=True, cudnn=False)) == [8, 2, 2]


def test_what_is_not_known_is_not_guessed() -> None:
    assert np.isnan(seconds({"flops": 10, "precision": "float16"})[0]), "no peak for this format"
    assert np.isnan(seconds({"flops": 10, "bytes_read": None})[0]), "bytes that were not recorded"
    assert seconds({"flops": None, "bytes_read": 100}) == [1], "no formula: what is moved bounds it from below"
    assert np.isnan(seconds({"flops": 10}, machine=Machine(name="unknown"))[0])
    filled = with_estimates(table({"flops": 1000}, {"flops": 10, "precision": "float16"}), estimate(
        table({"flops": 1000}, {"flops": 10, "precision": "float16"}), TOY))  # fmt: skip
    assert filled["estimated_s"].to_pylist() == [1.0, None]
    assert filled.schema == TABLES["operators"]


def test_an_embedding_reads_what_it_writes_and_not_its_table() -> None:
    assert seconds({"operator_class": "embedding", "bytes_read": 10**9, "bytes_written": 200}) == [4]


def test_efficiencies_and_latency_of_a_class() -> None:
    reached = {"linear": Efficiency(compute=0.5, memory=0.25, latency_s=1.0)}
    fitted = Machine(
        name="toy", peak_flops_per_s={"float32": 1e3}, bandwidth_bytes_per_s=100.0,
        calibration=Calibration(machine="toy", efficiencies=reached, runs=[]),
    )  # fmt: skip
    assert seconds({"flops": 1000, "calls": 3}, machine=fitted) == [2 + 3]
    assert seconds({"bytes_read": 100}, machine=fitted) == [4 + 1]
    assert seconds({"operator_class": "convolution", "flops": 1000}, machine=fitted) == [1], (
        "a class that was not fitted"
    )
    written_out = {"operator_class": "attention", "flops": 1000}
    assert seconds(written_out | {"operator": "aten::bmm"}, machine=fitted) == [3], "as a linear layer's product"
    assert seconds(written_out | {"operator": "aten::_softmax"}, machine=fitted) == [1]


def test_whole_tiles_and_temporaries_count_where_a_machine_is_calibrated() -> None:
    """A bound from below knows neither: a better kernel could do without them."""
    rows = {"flops": 1000, "tile_flops": 1600, "copied_bytes": 50}
    fitted = msgspec.structs.replace(TOY, calibration=Calibration(machine="toy", efficiencies={}, runs=[]))
    assert seconds(rows) == [1]
    assert seconds(rows, machine=fitted) == [pytest.approx(1.6 + 2 * 50 / 100)]
    assert seconds({"flops": 1000}, machine=fitted) == [1], "a record of before there were such columns"
    overhead = msgspec.structs.replace(TOY.calibration or fitted.calibration, launch_overhead_s=7.0)
    assert seconds(rows, machine=msgspec.structs.replace(TOY, calibration=overhead)) == [7], "the fitted host"


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "operator_class": st.sampled_from(["linear", "convolution", "attention", "elementwise", "data_movement"]),
            "precision": st.sampled_from(["float32", "bfloat16", "float8_e4m3fn"]),
            "calls": st.integers(1, 50),
            "flops": st.one_of(st.none(), st.integers(0, 10**6)),
            "bytes_read": st.integers(0, 10**5),
            "bytes_written": st.integers(0, 10**5),
        }
    ),
    min_size=1,
    max_size=20,
)


def by_hand(row: dict[str, Any]) -> float:
    """The formula once more, one row at a time, in plain Python."""
    is_matrix = row["operator_class"] in ("linear", "convolution", "attention")
    flops = (row["flops"] or 0) if is_matrix else 0
    moved = row["bytes_read"] + row["bytes_written"]
    if not flops and not moved:
        return 0.0
    peak = {"float32": 1e3, "bfloat16": 8e3, "float8_e4m3fn": 1.6e4}[row["precision"]]
    return max(flops / peak, moved / 100.0)


@given(ROWS)
def test_brute_force(rows: list[dict[str, Any]]) -> None:
    device = [by_hand(row) for row in rows]
    launched = [0.5 * row["calls"] * (time > 0) for row, time in zip(rows, device, strict=True)]
    found = estimate(table(*rows), TOY)
    assert found.seconds.sum() == pytest.approx(max(sum(device), sum(launched)))
    assert (found.seconds - found.waiting).tolist() == pytest.approx(device)
    assert (found.seconds <= np.maximum(device, launched) * (1 + 1e-9)).all(), "no row waits longer than for its launch"


@given(ROWS, st.floats(1.0, 100.0))
def test_a_faster_machine_is_never_slower(rows: list[dict[str, Any]], factor: float) -> None:
    faster = Machine(
        name="faster", launch_overhead_s=0.5, bandwidth_bytes_per_s=100.0 * factor,
        peak_flops_per_s={name: peak and peak * factor for name, peak in TOY.peak_flops_per_s.items()},
    )  # fmt: skip
    slow, fast = estimate(table(*rows), TOY).seconds, estimate(table(*rows), faster).seconds
    assert fast.sum() <= slow.sum() * (1 + 1e-9)


def test_copies_over_the_link_add_up_and_those_on_their_own_stream_hide() -> None:
    """The link moves 10 bytes a second, the memory 100: bytes are counted on one side."""
    linked = msgspec.structs.replace(TOY, host_bandwidth_bytes_per_s=10.0, launch_overhead_s=None)
    copy = {"operator": "Memcpy HtoD", "operator_class": "data_movement", "bytes_read": 40, "bytes_written": 40}
    own_stream = copy | {"operator": "Memcpy HtoD (own stream)"}
    kernel = {"flops": 3000}
    assert seconds(copy, kernel, machine=linked) == [4, 3]
    assert seconds(own_stream, kernel, machine=linked) == [1, 3], "what it takes longer than the stage's kernels"
    assert seconds(own_stream, {"flops": 5000}, machine=linked) == [0, 5]
    elsewhere = kernel | {"stage": "decode"}
    assert seconds(own_stream, elsewhere, machine=linked) == [4, 3], "nothing of its own stage hides it"
    twice = estimate(table(own_stream, kernel), linked, times=np.array([2, 1]))
    assert twice.seconds @ [2, 1] == pytest.approx(8)
    found = estimate(table(copy, kernel), linked)
    assert [BOUNDS[index] for index in found.bound] == ["link", "compute"]
    assert found.limited_by("link").tolist() == [4, 0]
    assert np.isnan(seconds(copy, machine=TOY)[0]), "a link that nobody stated"


def test_tables_of_several_chunks_and_of_none() -> None:
    rows = pa.concat_tables([table({"flops": 1000}), table({"flops": 2000})])
    assert estimate(rows, TOY).seconds.tolist() == [1, 2]
    assert len(estimate(table(), TOY).seconds) == 0
    assert [len(column) for column in work(table())] == [0, 0, 0]


def test_a_simulated_run_is_estimated_for_its_machine(experiment: Callable, tmp_path: Path) -> None:
    overrides = (
        "execution=simulate",
        "machine=h200",
        "machine.calibration=null",
        "device.precision=bfloat16",
        f"output_dir={tmp_path}",
    )
    found = announce(experiment(*overrides), rerun=False)
    assert found.environment["machine"]["name"] == "NVIDIA H200 141GB SXM"
    rows = record_folder.load_table(tmp_path / found.name, "operators").to_pandas()
    assert rows["estimated_s"].notna().all()
    matrix = rows["operator_class"].isin(["convolution", "linear", "attention"])
    flops, moved = rows["flops"].fillna(0).where(matrix, 0), rows["bytes_read"] + rows["bytes_written"]
    by_formula = np.maximum(flops / 989.4e12, moved / 4.8e12)
    known = rows["operator_class"] != "embedding"
    np.testing.assert_allclose(rows.loc[known, "estimated_s"], by_formula[known], rtol=1e-9)
