"""Searches over made-up runs whose front is known."""

from __future__ import annotations

import itertools

import pytest

from suite.search.objectives import Objectives
from suite.search.space import Choice, Space, Within
from suite.search.visit import Words, visit

SPACE = Space(Choice("optimization", ("[]", "a", "b", "[a,b]")), (Choice("optimization.a.n", ("1", "2", "3")),), (), ())
EVERY = {
    ("optimization=[]",): Objectives(1.0, 100, 0.0),
    ("optimization=b",): Objectives(1.2, 90, 0.0),
    ("optimization=a", "optimization.a.n=1"): Objectives(0.9, 100, 0.1),
    ("optimization=a", "optimization.a.n=2"): Objectives(0.8, 100, 0.1),  # beats n=1
    ("optimization=a", "optimization.a.n=3"): None,
    ("optimization=[a,b]", "optimization.a.n=1"): Objectives(0.8, 90, 0.3),
    ("optimization=[a,b]", "optimization.a.n=2"): Objectives(0.7, 90, 0.2),  # beats n=1 and n=3
    ("optimization=[a,b]", "optimization.a.n=3"): Objectives(0.7, 95, 0.2),
}
FRONT = {
    ("optimization=[]",),
    ("optimization=b",),
    ("optimization=a", "optimization.a.n=2"),
    ("optimization=[a,b]", "optimization.a.n=2"),
}


def test_a_space_smaller_than_the_search_is_run_whole_and_each_run_once() -> None:
    asked: list[Words] = []
    visited = visit(SPACE, lambda words: asked.append(words) or EVERY[words], num_runs=20, seed=0, with_distance=True)
    assert len(asked) == len(set(asked))
    assert visited.runs == EVERY
    assert set(visited.front()) == FRONT


def test_the_workload_itself_comes_first_and_no_more_is_run_than_asked_for() -> None:
    for num_runs in (1, 3, 5):
        visited = visit(SPACE, EVERY.__getitem__, num_runs=num_runs, seed=1, with_distance=True)
        assert next(iter(visited.runs)) == ("optimization=[]",)
        assert len(visited.runs) == num_runs


def test_the_same_seed_searches_the_same_way() -> None:
    first, second = (visit(SPACE, EVERY.__getitem__, num_runs=6, seed=3, with_distance=True) for _ in range(2))
    assert list(first.runs) == list(second.runs)


def test_what_is_not_known_of_the_output_is_left_out_of_the_weighing() -> None:
    blind = {words: found and found._replace(distance=None) for words, found in EVERY.items()}
    visited = visit(SPACE, blind.__getitem__, num_runs=20, seed=0, with_distance=False)
    assert set(visited.front()) == {("optimization=[a,b]", "optimization.a.n=2")}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_finds_the_best_of_many_in_fewer_runs_than_there_are(seed: int) -> None:
    """Time falls with x and bytes with y, with no trade between them: of 900 combinations one beats all others."""
    wide = Space(
        Choice("optimization", ("a",)), (Within("optimization.a.x", 1, 30), Within("smallest_slice", 1, 30)), (), ()
    )

    def run(words: Words) -> Objectives:
        x, y = (int(word.rpartition("=")[2]) for word in words[1:])
        return Objectives(31.0 - x, 31.0 - y, None)

    found = visit(wide, run, num_runs=60, seed=seed, with_distance=False).front()
    best = min(one.time + one.peak_bytes for one in found.values())
    every = sorted(62.0 - x - y for x, y in itertools.product(range(1, 31), repeat=2))
    assert best <= every[8]  # 60 drawn by chance hold one of the best nine with 1 - (1 - 0.01)**60 = 45 %
