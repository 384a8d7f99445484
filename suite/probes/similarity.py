"""Similarity: how alike what a layer gives is from step to step (figure 5 of Zhan et al. 2024, arXiv 2411.01171).

One generation of the run's own arm. Features are kept as sketches, see `suite.optimizations.rehash.similarity` for the error.
A layer that reuses, gives something else than features of the whole batch, or does not run in every step is left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from suite.errors import ConfigError
from suite.probes.contract import Observation
from suite.record_tables import TABLES
from suite.subject import STACK, Subject


@dataclass(frozen=True)
class Similarity:
    """Cosine similarity of layers' outputs between all pairs of steps.

    Args:
        modules: regular expressions; a module of the denoiser whose path one of them matches from end to end is watched.
    """

    modules: Sequence[str]
    not_simulated: ClassVar[str] = "similarity is one of values, which a simulation does not have"

    def __post_init__(self) -> None:
        for pattern in self.modules:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ConfigError(f"probe.similarity.modules: {pattern} is no regular expression: {error}") from None

    def observe(self, subject: Subject) -> Observation:
        from suite.optimizations.rehash.similarity import FeatureSketches

        subject.say("similarity between steps, a pass of its own")
        denoiser = subject.workload.parts["denoiser"]
        patterns = [re.compile(pattern) for pattern in self.modules]
        watched = {
            path: module
            for path, module in denoiser.named_modules()
            if any(pattern.fullmatch(path) for pattern in patterns)
        }
        sketches = FeatureSketches(watched)
        with subject.configured(STACK), ExitStack() as undo:
            sketches.install(undo)
            subject.generate()
        rows = [
            {"module": f"denoiser.{path}", "step_i": i, "step_j": j, "similarity": value}
            for path, matrix in sketches.similarities().items()
            for i, row in enumerate(matrix.tolist())
            for j, value in enumerate(row)
        ]
        return Observation(tables={"similarity": pa.Table.from_pylist(rows, schema=TABLES["similarity"])})
