"""Operators: where the time of one generation went, by class, module, stage and attention kind."""

from __future__ import annotations

from dataclasses import dataclass

from suite.probes.contract import Observation
from suite.record import ProbeCost, Profile
from suite.subject import Subject


@dataclass(frozen=True)
class Operators:
    """The operator table of the run's own arm and how busy its device was, made from one profiled generation."""

    def observe(self, subject: Subject) -> Observation:
        subject.say("operators, profiled pass")
        generation = subject.profile()
        found = generation.attribution
        profile = Profile(
            span_s=found.span_s,
            aside_s=found.aside_s,
            num_events=found.num_events,
            num_steps=found.num_steps,
            operators_without_flops=list(found.operators_without_flops),
            flaws=dict(found.flaws),
        )
        cost = ProbeCost(probe="operators", watched_s=generation.watched_s)
        tables = {"operators": found.operators}
        if found.device_activity is not None:
            tables["device_activity"] = found.device_activity
        return Observation(tables=tables, profile=profile, cost=cost)
