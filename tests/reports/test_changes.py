"""Changes from runs to runs: who is compared with whom, and what is called a regression.

For the mirror: reports.commands.compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reports import load
from reports.__main__ import main
from reports.changes import UNCLEAR, changes, pairs
from reports.commands.compare import ThresholdError, parse_thresholds
from suite.record import Arm
from suite.record_folder import load as load_record
from tests.reports.claims_records import operator, save_run, trials
from tests.reports.synthetic import make_run

GIB = 2**30
DRIFT = [1.0, 1.02, 0.98, 1.01, 0.99, 1.03, 0.97, 1.0, 1.01, 0.99]


def save(folder: Path, factor: float = 1.0, *, gib: float = 10.0, stack: Sequence[str] = (), **changed: Any) -> Path:
    peaks = [{"stage": "generate", "allocated_bytes": int(gib * GIB), "reserved_bytes": int(gib * GIB)}]
    changed = {"samples": trials([factor * value for value in DRIFT]), "gpu": "GPU"} | changed
    return save_run(folder, "stable_diffusion", stack, peaks=peaks, **changed)


def found(before: Path, after: Path, **thresholds: float) -> dict[str, dict]:
    frame = changes(load(before), load(after), thresholds)
    return {row["metric"]: row for row in frame.to_dict("records")}


@pytest.fixture
def a(tmp_path: Path) -> Path:
    return save(tmp_path / "a")


@pytest.mark.parametrize(
    ("factor", "threshold", "verdict", "code"),
    [
        (1.30, 0.05, "worse", 1),
        (1.00, 0.05, "same", 0),
        (0.60, 0.05, "better", 0),
        (1.05, 0.05, "unclear", 0),  # about the threshold itself: noise lies on both sides of it
        (1.30, 0.50, "same", 0),
    ],
)
def test_latency_must_be_worse_beyond_noise(
    a: Path, tmp_path: Path, factor: float, threshold: float, verdict: str, code: int
) -> None:
    b = save(tmp_path / "b", factor)
    row = found(a, b, latency=threshold)["latency"]
    assert row["verdict"] == verdict
    assert row["ratio"] == pytest.approx(factor)
    assert row["low"] < factor < row["high"]
    assert main(["compare", str(a), str(b), "--fail-over", f"latency={threshold}"]) == code


def test_noise_alone_is_no_regression(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    for number in range(20):
        a, b = (
            save(tmp_path / f"{side}{number}", samples=trials(random.lognormal(0, 0.1, 10).tolist()))
            for side in ("a", "b")
        )
        assert main(["compare", str(a), str(b), "--fail-over", "latency=5%"]) == 0


def test_few_trials_decide_nothing(a: Path, tmp_path: Path) -> None:
    b = save(tmp_path / "b", samples=trials([9.0, 9.1]))
    row = found(a, b)["latency"]
    assert row["verdict"] == "unclear"
    assert "too few" in row["why"]


@pytest.mark.parametrize(("gib", "verdict", "code"), [(10.5, "worse", 1), (10.1, "same", 0), (9.0, "better", 0)])
def test_memory_is_a_single_value(a: Path, tmp_path: Path, gib: float, verdict: str, code: int) -> None:
    b = save(tmp_path / "b", gib=gib)
    row = found(a, b, peak_allocated=0.02)["peak_allocated"]
    assert (row["verdict"], row["ratio"]) == (verdict, pytest.approx(gib / 10))
    assert main(["compare", str(a), str(b), "--fail-over", "latency=5%,peak_allocated=2%"]) == code
    assert main(["compare", str(a), str(b)]) == 0  # nothing was named, so nothing fails


def test_a_pair_inside_one_run_beats_two_runs(tmp_path: Path) -> None:
    a = save(tmp_path / "a", samples=trials([1.0] * 6))
    drift = [1.0, 3.0, 0.5, 2.0, 1.5, 0.7]
    samples = trials([1.2 * value for value in drift]) + trials(drift, "out_of_the_box")
    b = save(tmp_path / "b", stack=("deepcache",), samples=samples)
    row = found(a, b, latency=0.1)["latency"]
    assert (row["ratio"], row["verdict"], row["why"]) == (pytest.approx(1.2), "worse", "6 paired trials in B")
    assert row["run"] == "stable_diffusion: out_of_the_box to deepcache"


@pytest.mark.parametrize(("doubtful", "who"), [("a", "A"), ("b", "B")])
def test_a_run_on_a_machine_that_was_not_quiet_is_no_regression(doubtful: str, who: str, tmp_path: Path) -> None:
    arms = {name: [Arm(name="stack", doubt="a core was taken.")] if name == doubtful else [] for name in "ab"}
    row = found(save(tmp_path / "a", arms=arms["a"]), save(tmp_path / "b", 1.5, arms=arms["b"]), latency=0.05)[
        "latency"
    ]
    assert row["ratio"] == pytest.approx(1.5)
    assert (row["verdict"], row["why"]) == (UNCLEAR, f"10 and 10 trials: {who} ran on a machine that was not quiet")


def test_a_pair_whose_ratio_is_not_steady_decides_nothing(tmp_path: Path) -> None:
    a = save(tmp_path / "a", samples=trials([1.0] * 12))
    samples = trials([1.2] * 6 + [2.4] * 6) + trials([1.0] * 12, "out_of_the_box")
    row = found(a, save(tmp_path / "b", stack=("deepcache",), samples=samples), latency=0.1)["latency"]
    assert (row["verdict"], row["why"]) == (UNCLEAR, "12 paired trials in B: the pairs' ratio is not steady")


def test_runs_are_matched_by_what_they_are(tmp_path: Path) -> None:
    for side, stacks in (("a", ((), ("deepcache",), ("gone",))), ("b", (("deepcache",), ("new",), ()))):
        for stack in stacks:
            save(tmp_path / side, stack=stack)
    matched, alone = pairs(load(tmp_path / "a"), load(tmp_path / "b"))
    assert [(old.label, new.label) for old, new in matched] == [("out_of_the_box",) * 2, ("deepcache",) * 2]
    assert len(alone) == 2
    assert "A alone" in alone[0]


def test_a_run_that_no_longer_succeeds_is_a_regression(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from suite.record import Outcome

    a = make_run(tmp_path / "a", "parti", num_trials=6)
    b = make_run(tmp_path / "b", "parti", outcome=Outcome(status="oom", reason="out of memory"))
    assert load_record(b).outcome.status == "oom"
    assert main(["compare", str(a), str(b), "--fail-over", "latency=5%"]) == 1
    assert "out of memory" in capsys.readouterr().out
    assert main(["compare", str(b), str(a), "--fail-over", "latency=5%"]) == 0


def test_simulated_runs_compare_estimates_and_flops(tmp_path: Path) -> None:
    for side, seconds in (("a", 1.0), ("b", 1.1)):
        save_run(tmp_path / side, "stable_diffusion", operators=[operator("convolution", seconds, 100)])
    rows = found(tmp_path / "a", tmp_path / "b", estimated_time=0.05)
    assert (rows["estimated_time"]["verdict"], rows["flops"]["verdict"]) == ("worse", "same")


def test_other_devices_are_named(a: Path, tmp_path: Path) -> None:
    row = found(a, save(tmp_path / "b", gpu="Another"))["latency"]
    assert row["why"].endswith("A ran on GPU, B on Another")


def test_thresholds_are_shares() -> None:
    assert parse_thresholds("latency=5%, peak_allocated=0.02") == {"latency": 0.05, "peak_allocated": 0.02}
    assert parse_thresholds(None) == {}


@pytest.mark.parametrize("words", ["speed=5%", "latency", "latency=", "latency=fast", "latency=-1%", "latency=nan", ""])
def test_a_threshold_that_is_none_is_a_sentence(words: str, a: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ThresholdError):
        parse_thresholds(words)
    assert main(["compare", str(a), str(a), f"--fail-over={words}"]) == 2
    captured = capsys.readouterr()
    assert (captured.out, len(captured.err.splitlines())) == ("", 1)
    assert captured.err.endswith(".\n")


@pytest.mark.parametrize("case", ["missing", "no_partner", "no_number", "broken"])
def test_bad_input_is_one_sentence(case: str, a: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    b, words = save(tmp_path / "b"), "latency=5%"
    if case == "missing":
        b = tmp_path / "nowhere"
    elif case == "no_partner":
        save(tmp_path / "b", stack=("x",))
        save(tmp_path / "a", stack=("y",))
        (tmp_path / "b" / "0" / "record.json").unlink()
        save(tmp_path / "b", stack=("z",))
    elif case == "no_number":
        words = "peak_device=5%"
    else:
        (tmp_path / "b" / "0" / "record.json").write_text("{")
        save(tmp_path / "b")
    assert main(["compare", str(a), str(b), "--fail-over", words]) == 2
    captured = capsys.readouterr()
    assert (captured.out, len(captured.err.splitlines())) == ("", 1)
    assert captured.err.endswith(".\n")
