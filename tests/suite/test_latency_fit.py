"""Calibrations from whole latencies: machines whose truth is known, held to what a fit finds and to what estimates then say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from suite.errors import ConfigError
from suite.latency_fit import REFERENCE, Fit, Latency, calibrations, fit, latency, left_out, power_share, promise
from suite.machine import Machine
from suite.record_tables import TABLES
from suite.roofline import estimate
from suite.tensor_cores import NO_TF32


def machine(name: str, tflops: float, power_w: float, bandwidth: float, family: str | None = None) -> Machine:
    peaks = {"float16": tflops * 1e12}
    return Machine(name=name, peak_flops_per_s=peaks, power_w=power_w, bandwidth_bytes_per_s=bandwidth, family=family)


MACHINES = (
    machine("old", 125, 300, 9e11, "first"),
    machine("plain", 312, 400, 2e12, "second"),
    machine("plain, large", 320, 400, 2.2e12, "second"),
    machine("modest", 120, 275, 8.6e11, "third"),
    machine("hot", 989, 700, 3.35e12, "fourth"),
)
TRUTH = Fit(
    shares=np.log([0.7, 0.4, 0.3]),
    memory=float(np.log(0.9)),
    latency_s=float(np.log(3e-6)),
    overhead_s=float(np.log(2e-5)),
    slope=-0.6,
    families={"first": -0.2, "second": 0.0, "third": 0.1, "fourth": 0.1},
    machines={},
    hosts={},
)


def model(seed: int, **columns: Any) -> pa.Table:
    """A generation's operators: products, attention and convolutions of many sizes, and what moves bytes beside them."""
    draw = np.random.default_rng(seed)
    rows = []
    for operator_class, operator in (
        ("linear", "aten::mm"),
        ("attention", "aten::_scaled_dot_product_flash_attention_for_cpu"),
        ("convolution", "aten::convolution"),
        ("elementwise", "aten::mul"),
    ):
        share = draw.uniform(0.2, 3)
        for _ in range(6):
            flops = int(share * 10 ** draw.uniform(12, 14)) if operator_class != "elementwise" else 0
            moved = int(share * 10 ** draw.uniform(10, 11.5))
            rows.append({
                "stage": "denoise_step", "module": f"m{len(rows)}", "operator": operator, "operator_class": operator_class,
                "precision": "float16", "calls": int(draw.integers(100, 3000)), "flops": flops, "tile_flops": flops,
                "copied_bytes": int(0.1 * moved), "bytes_read": moved, "bytes_written": moved, **columns,
            })  # fmt: skip
    return pa.Table.from_pylist(rows, schema=TABLES["operators"])


def measured(truth: Fit = TRUTH, machines: tuple[Machine, ...] = MACHINES) -> list[Latency]:
    found = []
    for where in machines:
        for number in range(6):
            one = latency(f"{number} on {where.name}", f"model {number}", where, 1.0, model(number), tf32=NO_TF32)
            found.append(replace(one, seconds=truth.seconds(one)))
    return found


def test_a_fit_finds_what_latencies_were_made_of() -> None:
    latencies = measured()
    found = fit(latencies)
    assert [found.seconds(one) for one in latencies] == pytest.approx([one.seconds for one in latencies], rel=0.02)
    for one in MACHINES:
        assert found.reached(one) == pytest.approx(TRUTH.reached(one), rel=0.15)
    assert max(map(abs, left_out(latencies, lambda one: one.model).values())) < 0.05, "a model that was left out"
    assert np.median(np.abs(list(left_out(latencies, lambda one: one.machine.family).values()))) < 0.2, "a family"


def test_an_odd_latency_does_not_bend_the_others() -> None:
    latencies = measured()
    odd = [replace(latencies[0], seconds=3 * latencies[0].seconds), *latencies[1:]]
    found = fit(odd)
    assert [found.seconds(one) for one in latencies[1:]] == pytest.approx([one.seconds for one in odd[1:]], rel=0.1)
    assert found.seconds(odd[0]) / odd[0].seconds < 0.5


def test_a_host_that_holds_everything_up_is_found() -> None:
    """Thousands of tiny kernels: their number times the host's time is the latency."""
    tiny = pa.Table.from_pylist(
        [row | {"flops": 10**6, "tile_flops": 10**6, "bytes_read": 10, "bytes_written": 10} for row in model(0).to_pylist()],
        schema=TABLES["operators"],
    )  # fmt: skip
    calls = sum(tiny["calls"].to_pylist())
    slow = latency("slow host", "tiny", MACHINES[1], calls * 5e-5, tiny, tf32=NO_TF32)
    found = fit([*measured(), slow])
    assert found.seconds(slow) == pytest.approx(slow.seconds, rel=0.1)
    quick = latency("quick host", "tiny", MACHINES[0], calls * 1e-5, tiny, tf32=NO_TF32)
    both = fit([*measured(), slow, quick])
    assert both.host_s(MACHINES[1]) > 1.5 * both.host_s(MACHINES[0]), "each machine has a host of its own"


def test_factors_follow_power_where_nothing_was_measured() -> None:
    assert promise(machine("as an A100", REFERENCE * 400 / 1e12, 400, 1e12)) == pytest.approx(0)
    assert promise(Machine(name="unknown")) == 0
    twice = machine("twice the promise", 624, 400, 1e12)
    assert TRUTH.factor(twice) == pytest.approx(2**-0.6)
    assert TRUTH.reached(machine("a promise easily kept", 10, 400, 1e12))[:3].max() < 0.97, "never more than a peak"


def test_estimates_are_what_was_fitted() -> None:
    """The calibration that a fit gives, in the hands of the roofline, is the fit's own estimate."""
    latencies = measured()
    found, made = fit(latencies), calibrations(latencies, MACHINES, 0.9)
    for one in (latencies[0], latencies[-1]):
        calibrated = msgspec.structs.replace(one.machine, calibration=made[one.machine.name])
        rows = model(int(one.name.split()[0]))
        assert estimate(rows, calibrated).seconds.sum() == pytest.approx(found.seconds(one), rel=1e-3)
    plain = made["plain"]
    assert plain.power_share == 0.9
    assert len(plain.runs) == len(plain.errors) == 6
    errors = list(left_out(latencies, lambda one: one.model).values())
    assert plain.relative_error == pytest.approx(np.median(np.abs(errors)), abs=1e-3)


def test_a_machine_that_nobody_measured_says_so() -> None:
    unseen, relative = machine("new", 500, 500, 3e12, "fifth"), machine("plain, small", 200, 300, 1e12, "second")
    made = calibrations(measured(), [unseen, relative, Machine(name="nothing is known")])
    assert set(made) == {"new", "plain, small"}
    assert made["new"].left_out == "GPU families left out of 30 published latencies"
    assert made["new"].basis == "its peak FLOP/s a watt, since no latency of its family is published"
    assert made["plain, small"].basis == "12 published latencies on its family (second)"
    assert made["new"].errors == {}
    assert made["new"].relative_error > made["plain, small"].relative_error, "it is less well known"  # type: ignore[operator]


def test_what_cannot_be_fitted_to() -> None:
    with pytest.raises(ConfigError, match="no latency"):
        fit([])
    with pytest.raises(ConfigError, match="no known peak"):
        latency("x", "m", MACHINES[0], 1.0, model(0, precision="bfloat16"), tf32=NO_TF32)


def test_the_share_of_a_boards_power() -> None:
    board = machine("x", 1, 100, 1)
    assert power_share([(board, 2.0, 180.0), (board, 1.0, 80.0), (board, 1.0, 95.0)]) == 0.9
