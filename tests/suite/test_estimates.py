"""How estimates are told: how far off they may be, whose machine they are of, and what they cost."""

from __future__ import annotations

import msgspec
import pytest
from test_record import example

from suite.estimates import DEFAULT_MACHINE, chosen_machine, error_words, known_machines, price_source, price_usd
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
