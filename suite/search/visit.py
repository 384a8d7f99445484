"""Run what Optuna asks for, until as many different runs were made as are wanted."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from suite.search.objectives import Objectives

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from suite.search.space import Space

Words = tuple[str, ...]
Run = Callable[[Words], Objectives | None]
"""Makes the run of some words and weighs it; None where it cannot be weighed."""

_ASKED_PER_RUN = 40
"""A space of which every combination was run gives nothing new; so many questions for each run are enough to know."""


@dataclass(frozen=True)
class Visited:
    """What a search ran, by the words that it added: in order, what could not be weighed among them."""

    runs: dict[Words, Objectives | None]

    def front(self) -> dict[Words, Objectives]:
        """What no other run beats: as good in everything and better in one."""
        known = {words: found for words, found in self.runs.items() if found is not None}
        return {
            words: found for words, found in known.items() if not any(_beats(other, found) for other in known.values())
        }


def visit(space: Space, run: Run, *, num_runs: int, seed: int, with_distance: bool) -> Visited:
    """Search one space.

    Args:
        space: what may be chosen.
        run: makes and weighs a run.
        num_runs: how many different runs are made, fewer where the space holds fewer.
        seed: the same seed and the same results give the same search, so one that was interrupted goes on.
        with_distance: weigh the distance of the output, too; a run of unknown distance then counts as not weighed.
    """
    import optuna

    num_objectives = 3 if with_distance else 2
    learning, at_random = _samplers(seed, num_first=max(num_runs // 3, 4))
    study = optuna.create_study(directions=[optuna.study.StudyDirection.MINIMIZE] * num_objectives, sampler=learning)
    if "[]" in space.stacks.values:
        study.enqueue_trial({space.stacks.key: "[]"})  # what all others are weighed against comes first
    runs: dict[Words, Objectives | None] = {}
    for _ in range(num_runs * _ASKED_PER_RUN):
        trial = study.ask()
        words = space.suggest(trial)
        # Asked for more, what has learnt where the best lie comes back to them; chance leads on to what is left.
        study.sampler = at_random if words in runs else learning
        if words not in runs:
            if len(runs) == num_runs:
                break
            runs[words] = run(words)
        found = runs[words]
        values = None if found is None else [found.time, found.peak_bytes, found.distance][: len(study.directions)]
        if values is None or None in values:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, values)
    return Visited(runs)


def _samplers(seed: int, num_first: int) -> tuple[BaseSampler, BaseSampler]:
    """One that learns from the runs after `num_first` of them (a tree-structured Parzen estimator), and one that does not."""
    from optuna import exceptions, logging, samplers

    logging.set_verbosity(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", exceptions.ExperimentalWarning)
        learning = samplers.TPESampler(seed=seed, n_startup_trials=num_first, multivariate=True, group=True)
    return learning, samplers.RandomSampler(seed=seed)


def _beats(one: Objectives, other: Objectives) -> bool:
    """An unknown distance is as good as any other unknown one, and comparable with no known one."""
    if (one.distance is None) != (other.distance is None):
        return False
    pairs = [(a, b) for a, b in zip(one, other, strict=True) if a is not None and b is not None]
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)
