"""What of a sweep is searched, for whom, and what is told before anything runs."""

from __future__ import annotations

import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from suite.errors import ConfigError
from suite.search.space import Choice, Space, Within
from suite.search.space import space as of_words

SWEEP = ["workload=animatediff,parti", "optimization=[],a,[a,b]"]


def space(words: list[str], study: list[str] | None = None) -> Space:
    typed = [word.partition("=")[0] for word in words]
    own = [word for word in study or [] if word.partition("=")[0] not in typed]
    return of_words(OverridesParser.create().parse_overrides([*own, *words]))


def test_stacks_and_their_arguments_are_searched_and_the_rest_is_swept() -> None:
    found = space(["scale=paper", "optimization.b.num_slices=choice(2,4)", "smallest_slice=1,8"], SWEEP)
    assert found.stacks == Choice("optimization", ("[]", "a", "[a,b]"))
    assert found.arguments == (
        Choice("optimization.b.num_slices", ("2", "4")),
        Choice("smallest_slice", ("1", "8")),
    )
    assert list(found.searches()) == [
        ("scale=paper", "workload=animatediff"),
        ("scale=paper", "workload=parti"),
    ]


def test_what_is_typed_wins_over_the_study() -> None:
    found = space(["workload=muse", "optimization=[],c"], SWEEP)
    assert list(found.searches()) == [("workload=muse",)]
    assert found.stacks.values == ("[]", "c")


def test_a_reference_is_another_question_for_each() -> None:
    found = space(["optimization=[],c", "optimization@reference=[],d"])
    assert [words[-1] for words in found.searches()] == ["optimization@reference=[]", "optimization@reference=d"]


def test_an_argument_is_asked_for_where_its_optimization_is() -> None:
    found = space(["optimization=[],[a,b]", "optimization.b.num_slices=2,4", "optimization.b.share=interval(0,1)"])
    trial = optuna.trial.FixedTrial
    assert found.suggest(trial({"optimization": "[]"})) == ("optimization=[]",)  # pyright: ignore[reportArgumentType]
    chosen = {"optimization": "[a,b]", "optimization.b.num_slices": "4", "optimization.b.share": 0.25}
    words = ("optimization=[a,b]", "optimization.b.num_slices=4", "optimization.b.share=0.25")
    assert found.suggest(trial(chosen)) == words  # pyright: ignore[reportArgumentType]


def test_a_fixed_argument_is_for_the_stacks_that_have_it() -> None:
    found = space(["optimization=[],a", "optimization.a.n=3", "scale=paper"])
    assert found.fixed == ("scale=paper",)
    assert set(found.samples()) == {
        ("optimization=[]",),
        ("optimization=a",),
        ("optimization=a", "optimization.a.n=3"),
    }


def test_whole_numbers_stay_whole() -> None:
    found = space(["optimization=[],a", "optimization.a.n=int(interval(1,8))"])
    assert found.arguments == (Within("optimization.a.n", 1, 8),)
    trial = optuna.create_study().ask()
    assert found.arguments[0].suggest(trial) in {str(number) for number in range(1, 9)}


def test_every_value_is_tried_before_anything_runs() -> None:
    found = space(["optimization=[],a,[a,b]", "optimization.b.n=2,4", "optimization.a.share=interval(0,1)"])
    assert set(found.samples()) == {
        ("optimization=[]",),
        ("optimization=a",),
        ("optimization=[a,b]",),
        ("optimization=[a,b]", "optimization.b.n=2"),
        ("optimization=[a,b]", "optimization.b.n=4"),
        ("optimization=a", "optimization.a.share=0.0"),
        ("optimization=a", "optimization.a.share=1.0"),
    }


@pytest.mark.parametrize(
    ("words", "mentions"),
    [
        (["workload=muse"], "optimization"),
        (["optimization=[],a", "optimization.c.n=1,2"], r"optimization\.c\.n: no stack holds that"),
        (["optimization=[],a", "request.height=interval(1,2)"], "request.height"),
        (["optimization=shuffle(a,b)"], "order of its own"),
    ],
)
def test_what_cannot_be_searched_is_told(words: list[str], mentions: str) -> None:
    with pytest.raises(ConfigError, match=mentions):
        list(space(words).samples())
