"""What a run says at its end, from records and tables made by hand.

Names for the mirror: suite.progress.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from test_record import example

from suite import record_folder
from suite.ending import headline, lines, numbers_of
from suite.machine import Machine
from suite.progress import announce
from suite.record import Applied, Arm, Outcome, Record, Sample
from suite.record_tables import TABLES

MIB = 2**20
MACHINE = Machine(name="mill", peak_flops_per_s={"float32": 1e9}, bandwidth_bytes_per_s=1e9, price_per_hour_usd=7.2)


def trials(*seconds: float) -> list[Sample]:
    return [Sample(metric="latency_s", value=value, trial=index) for index, value in enumerate(seconds)]


def product(flops: int | None, operator_class: str = "linear", moved: int = 0) -> dict[str, Any]:
    return {
        "operator": "aten::mm",
        "operator_class": operator_class,
        "precision": "float32",
        "calls": 1,
        "flops": flops,
        "bytes_read": moved,
        "bytes_written": 0,
    }


def peaks(**allocated_mib: int) -> pa.Table:
    rows = [{"stage": stage, "allocated_bytes": size * MIB} for stage, size in allocated_mib.items()]
    return pa.Table.from_pylist(rows, schema=TABLES["memory_peaks"])


@pytest.fixture
def said(tmp_path: Path) -> Callable[..., list[str]]:
    """Save a run, and what it says."""

    def tell(
        record: Record,
        operators: list[dict[str, Any]] | None = None,
        memory_peaks: pa.Table | None = None,
        before: pa.Table | None = None,
    ) -> list[str]:
        tables = {} if memory_peaks is None else {"memory_peaks": memory_peaks}
        if operators is not None:
            tables["operators"] = pa.Table.from_pylist(operators, schema=TABLES["operators"])
        record_folder.save(record, tables, tmp_path / "run")
        if before is not None:
            record_folder.save(example(), {"memory_peaks": before}, tmp_path / "bare")
        return lines(record, numbers_of(record, tmp_path / "run", tmp_path / "bare"))

    return tell


def test_time_is_the_median_of_the_stacks_own_trials_with_its_interval(said: Callable[..., list[str]]) -> None:
    others = [
        Sample(metric="latency_s", value=99.0, warmup=True),
        Sample(metric="latency_s", value=99.0, arm="out_of_the_box"),
        Sample(metric="latency_s", value=99.0, stage="decode"),
        Sample(metric="energy_j", value=99.0),
    ]
    assert said(example(samples=[*others, *trials(3.0, 2.0, 2.5)])) == [
        "2.50 [2.00\N{EN DASH}3.00] s a generation over 3 trials"
    ]
    assert said(example(samples=trials(0.0125))) == ["12.5 ms a generation in one trial"]


def test_times_in_doubt_are_told_with_the_evidence_and_count_the_quiet_trials(said: Callable[..., list[str]]) -> None:
    slow = [Sample(metric="latency_s", value=30.0, trial=trial, set_aside=True) for trial in (5, 6)]
    arms = [Arm(name="stack", doubt="trials 5-6 took 30 s."), Arm(name="out_of_the_box", doubt="a core was taken.")]
    assert said(example(samples=[*trials(3.0, 2.0, 2.5), *slow], arms=arms)) == [
        "2.50 [2.00\N{EN DASH}3.00] s a generation over 3 trials",
        "in doubt: trials 5-6 took 30 s.",
        "in doubt, out of the box: a core was taken.",
    ]


def test_flops_stand_beside_the_time_and_say_where_they_are_less_than_all(said: Callable[..., list[str]]) -> None:
    run = example(samples=trials(2.0))
    known = [product(3_000_000), product(4_000_000, "convolution"), product(None, "elementwise")]
    assert said(run, known) == ["2.00 s a generation in one trial; 7.00 MFLOP"]
    assert said(run, [*known, product(None, "attention")]) == ["2.00 s a generation in one trial; at least 7.00 MFLOP"]


def test_the_peak_is_told_with_the_stage_that_holds_it(said: Callable[..., list[str]]) -> None:
    own = peaks(generate=90, denoise_step=70, decode=90)
    plain = example(samples=[])
    assert said(plain, memory_peaks=own) == ["peak 90.0 MiB allocated, in decode; next is denoise_step with 70.0 MiB"]
    assert said(plain, memory_peaks=own, before=peaks(generate=120, denoise_step=120)) == [
        "peak 90.0 MiB allocated, in decode (out of the box 120 MiB); next is denoise_step with 70.0 MiB"
    ]


def test_what_is_reserved_and_what_a_driver_reports_stand_behind_the_peak(said: Callable[..., list[str]]) -> None:
    rows = [{"stage": "generate", "allocated_bytes": 90 * MIB, "reserved_bytes": 120 * MIB, "device_bytes": 620 * MIB}]
    (line,) = said(example(samples=[]), memory_peaks=pa.Table.from_pylist(rows, schema=TABLES["memory_peaks"]))
    assert line.endswith("; 120 MiB reserved; 620 MiB on the device")


@pytest.mark.parametrize("before", [90, 60])
def test_where_the_stack_does_not_lower_the_peak_it_says_who_holds_it(
    before: int, said: Callable[..., list[str]]
) -> None:
    (line,) = said(
        example(samples=[]),
        memory_peaks=peaks(generate=90, denoise_step=40, decode=90),
        before=peaks(generate=before, denoise_step=before, decode=before),
    )
    assert line.startswith(
        f"peak 90.0 MiB allocated, no less than out of the box ({before}.0 MiB): decode holds it; next is denoise_step"
    )


def test_a_simulated_run_is_priced_on_the_machine_that_it_names(said: Callable[..., list[str]]) -> None:
    """2 GFLOP at 1 GFLOP/s are 2 s, 1 GB at 1 GB/s is one: three seconds at 7.2 USD an hour are 0.6 cents."""
    run = example(samples=[], execution="simulate", environment={"machine": msgspec.to_builtins(MACHINE)})
    work = [product(2_000_000_000), product(0, "elementwise", moved=1_000_000_000)]
    assert said(run, work) == [
        "3.00 s a generation estimated on mill; error unknown (roofline: a lower bound)",
        "0.00600 USD at 7.2 USD an hour; 2.00 GFLOP",
    ]
    unpriced = msgspec.structs.replace(MACHINE, price_per_hour_usd=None)
    run = msgspec.structs.replace(run, environment={"machine": msgspec.to_builtins(unpriced)})
    assert said(run, work)[1] == "price unknown; 2.00 GFLOP"


def test_a_machine_that_cannot_say_gives_no_time(said: Callable[..., list[str]]) -> None:
    unknown = msgspec.structs.replace(MACHINE, peak_flops_per_s={})
    run = example(
        samples=[],
        execution="simulate",
        environment={"machine": msgspec.to_builtins(unknown)},
        config={"device": {"precision": "float32"}},
    )
    assert said(run, [product(2_000_000)]) == [
        "no time is estimated on mill: its peak for float32 is not known",
        "2.00 MFLOP",
    ]


def test_a_simulated_run_without_a_machine_says_whose_time_it_is(said: Callable[..., list[str]]) -> None:
    (first, _) = said(example(samples=[], execution="simulate"), [product(2_000_000_000_000)])
    assert "estimated on NVIDIA A100 80GB SXM (machine=NAME takes another)" in first


def test_what_was_planned_is_told(said: Callable[..., list[str]]) -> None:
    slices = Applied(name="auto_slices", exact=True, changes="all of it", plan="3 slices: it fits")
    other = Arm(name="reference", optimizations=[msgspec.structs.replace(slices, plan="9 slices")])
    run = example(samples=[], arms=[Arm(name="stack", optimizations=[slices]), other])
    assert said(run) == ["auto_slices: 3 slices: it fits"]


def test_what_came_to_nothing_says_why_and_no_numbers(said: Callable[..., list[str]]) -> None:
    run = example(samples=[], outcome=Outcome(status="oom", reason="too big"))
    assert headline(run) == "oom: too big"
    assert said(run) == []


def test_the_terminal_gets_plain_lines_through_a_pipe_however_long(
    experiment: Callable, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second run of the two knows the first, which is the same out of the box."""
    words = ("workload=parti", "execution=simulate", "machine=a100_80gb", f"output_dir={tmp_path}")
    for stack in ("[]", "eager_attention"):
        announce(experiment(*words, f"optimization={stack}"), rerun=False)
    told = capsys.readouterr().err.splitlines()
    assert "\x1b" not in "".join(told)
    bare, stacked = (told.index(line) for line in told if ": ok (" in line)
    assert [line.split()[0] for line in told[bare + 1 : stacked - 1]] != []
    assert all(line.startswith("  ") for line in told[bare + 1 : stacked - 1])
    assert not [line for line in told[:stacked] if "out of the box" in line]
    assert [line for line in told[stacked:] if "out of the box" in line]
