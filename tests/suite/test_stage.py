"""Stages: nesting order, steps of loops that are not ours, and marks that lie outside hooks and compiled code."""

from __future__ import annotations

import pytest
from torch import nn, ones

from suite.stage import StepMarks, mark_calls, stage, watched_by


class Journal:
    """A watcher that writes down what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def enter(self, name: str) -> None:
        self.lines.append(f"+{name}")

    def exit(self, name: str) -> None:
        self.lines.append(f"-{name}")


def test_watchers_see_spans_in_nesting_order() -> None:
    first, second = Journal(), Journal()
    with watched_by([first]), stage("generate"), watched_by([second]), stage("decode"):
        pass
    assert first.lines == ["+generate", "+decode", "-decode", "-generate"]
    assert second.lines == ["+decode", "-decode"]


def test_nobody_watches_after_the_block() -> None:
    journal = Journal()
    with watched_by([journal]):
        pass
    with stage("generate"):
        pass
    assert journal.lines == []


def test_an_exception_closes_every_open_span() -> None:
    journal = Journal()
    with pytest.raises(RuntimeError), watched_by([journal]), stage("generate"), stage("decode"):
        raise RuntimeError
    assert journal.lines == ["+generate", "+decode", "-decode", "-generate"]


def test_steps_of_a_loop_that_reports_only_its_ends() -> None:
    journal = Journal()
    with watched_by([journal]):
        steps = StepMarks("denoise_step", num_steps=2)
        steps.begin()
        steps.next()
        steps.next()
        steps.end()
    assert journal.lines == ["+denoise_step", "-denoise_step"] * 2


def test_a_step_that_breaks_off_is_closed() -> None:
    journal = Journal()
    with watched_by([journal]):
        steps = StepMarks("denoise_step", num_steps=3)
        steps.begin()
        steps.next()
        steps.end()
    assert journal.lines == ["+denoise_step", "-denoise_step"] * 2


def test_marked_calls_lie_outside_hooks_and_keep_the_class_and_its_result() -> None:
    module, journal = nn.Linear(2, 2), Journal()
    plain = module(ones(1, 2))
    mark_calls(module, "decode")
    module.register_forward_pre_hook(lambda *_: journal.lines.append("hook"))
    with watched_by([journal]):
        marked = module(ones(1, 2))
    assert journal.lines == ["+decode", "hook", "-decode"]
    assert isinstance(module, nn.Linear)
    assert type(module).__name__ == "Linear"
    assert marked.equal(plain)
