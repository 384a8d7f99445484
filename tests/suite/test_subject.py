"""Subjects: stacks go on in order and come off in reverse, also when something breaks, and a profile is made once."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from toy import Noted, ToyWorkload, toy_subject

from suite.probes.contract import Probe
from suite.probes.memory import Memory
from suite.probes.operators import Operators
from suite.workload import NotApplicableError


def test_a_stack_goes_on_in_order_and_comes_off_in_reverse(tmp_path: Path) -> None:
    journal: list[str] = []
    subject = toy_subject(tmp_path, stack={"a": Noted("a", journal), "b": Noted("b", journal)})
    with subject.configured("stack") as applied:
        assert [(one.name, one.changes) for one in applied] == [("a", "a is on"), ("b", "b is on")]
        assert journal == ["+a", "+b"]
    assert journal == ["+a", "+b", "-b", "-a"]


def test_what_was_put_on_comes_off_when_the_next_cannot_be(tmp_path: Path) -> None:
    journal: list[str] = []
    subject = toy_subject(tmp_path, stack={"a": Noted("a", journal), "b": Noted("b", journal, applicable=False)})
    with pytest.raises(NotApplicableError, match="b changes nothing"), subject.configured("stack"):
        pytest.fail("the block must not be entered")
    assert journal == ["+a", "-a"]


def test_a_failing_generation_takes_the_stack_off(tmp_path: Path) -> None:
    def explode(call: int) -> None:
        raise RuntimeError(call)

    journal: list[str] = []
    subject = toy_subject(tmp_path, ToyWorkload(explode), stack={"a": Noted("a", journal)})
    with pytest.raises(RuntimeError), subject.configured("stack"):
        subject.generate()
    assert journal == ["+a", "-a"]


def test_the_profile_is_made_once_and_leaves_no_file(tmp_path: Path) -> None:
    subject = toy_subject(tmp_path)
    first = subject.profile()
    assert subject.profile() is first
    assert subject.workload.num_calls == 1  # type: ignore[attr-defined]
    assert not list(tmp_path.iterdir())


def test_the_trace_is_kept_where_tensorboard_looks(tmp_path: Path) -> None:
    subject = toy_subject(tmp_path)
    subject.save_trace = True
    subject.profile()
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.gz")] == [
        "trace/profile.pt.trace.json.gz"
    ]


class HandClock:
    """A clock that only tests move. It can be read only once the device is done, as events on a stream can."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.waits = True

    def mark(self) -> float:
        self.waits = True
        return self.now_s

    def synchronize(self) -> None:
        self.waits = False

    def elapsed_s(self, start: float, end: float) -> float:
        assert not self.waits, "read before the device was done"
        return end - start


@pytest.mark.parametrize("probe", [Operators(), Memory()])
def test_watching_costs_what_the_generation_took_and_not_the_garbage_before_it(
    probe: Probe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = HandClock()

    def pass_by(seconds: float) -> None:
        clock.now_s += seconds

    subject = toy_subject(tmp_path, ToyWorkload(lambda call: pass_by(1.5)))
    subject.clock = clock
    monkeypatch.setattr(gc, "collect", lambda *generation: pass_by(20.0))
    cost = probe.observe(subject).cost
    assert clock.now_s >= 21.5, "the garbage was collected"
    assert cost is not None
    assert cost.watched_s == 1.5
