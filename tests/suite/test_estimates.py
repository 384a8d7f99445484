"""How estimates are told: how far off they may be, whose machine they are of, and what they cost."""

from __future__ import annotations

import msgspec
import pytest
from test_record import example

from suite.estimates import (
    DEFAULT_MACHINE,
    chosen_machine,
    energy_j,
    error_words,
    known_machines,
    price_source,
    price_usd,
    unknown_words,
)
from suite.machine import Calibration, Machine


def test_the_error_is_told_as_far_as_it_is_known() -> None:
    machine = Machine(name="toy")
    assert "unknown" in error_words(machine)
    fitted = Calibration(
        machine="toy", efficiencies={}, runs=["a", "b"], relative_error=0.1, largest_relative_error=0.4
    )
    assert error_words(Machine(name="toy", calibration=fitted)) == "±10 % (at worst 40 %) on 2 measured runs"
    once = Calibration(machine="toy", efficiencies={}, runs=["a"])
    assert "one run" in error_words(Machine(name="toy", calibration=once))


def test_a_run_keeps_its_own_machine_and_others_stand_on_the_default_one() -> None:
    own = Machine(name="toy", bandwidth_bytes_per_s=1.0)
    assert chosen_machine(example(environment={"machine": msgspec.to_builtins(own)})) == own
    assert chosen_machine(example(environment={})) == known_machines()[DEFAULT_MACHINE]


def test_a_price_is_of_the_time_and_says_who_states_it() -> None:
    priced = Machine(name="toy", price_per_hour_usd=7.2, sources={"price_per_hour_usd": "recalled: a shop, 2025"})
    assert price_usd(priced, 5.0) == pytest.approx(0.01)
    assert price_source(priced) == "reported, not verified: a shop, 2025"
    assert price_usd(Machine(name="toy"), 5.0) is None
    assert price_source(Machine(name="toy")) == "unknown"


def test_an_error_on_what_was_left_out_says_of_what() -> None:
    told = Calibration(
        machine="toy", efficiencies={}, runs=["a"], relative_error=0.07, largest_relative_error=0.5,
        left_out="models left out of 64 published latencies",
    )  # fmt: skip
    words = error_words(Machine(name="toy", calibration=told))
    assert words == "±7.0 % (at worst 50 %) on models left out of 64 published latencies"


def test_energy_is_a_share_of_the_boards_power_where_one_is_known() -> None:
    board = Machine(name="toy", power_w=100)
    assert energy_j(board, 3.0) == 300
    told = Calibration(machine="toy", efficiencies={}, runs=[], power_share=0.8)
    assert energy_j(msgspec.structs.replace(board, calibration=told), 3.0) == pytest.approx(240)
    assert energy_j(Machine(name="toy", calibration=told), 3.0) is None


def test_a_time_that_is_not_known_has_a_reason() -> None:
    run = example(config={"device": {"precision": "float16"}})
    whole = Machine(name="toy", bandwidth_bytes_per_s=1.0, peak_flops_per_s={"float16": 1.0})
    assert (
        unknown_words(run, msgspec.structs.replace(whole, bandwidth_bytes_per_s=None)) == "its bandwidth is not known"
    )
    assert (
        unknown_words(run, msgspec.structs.replace(whole, peak_flops_per_s={})) == "its peak for float16 is not known"
    )
    assert "host" in unknown_words(run, whole), "what runs elsewhere"
