"""Checks that the workloads have the dimensions of the models that they are named after."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportReturnType=false
from __future__ import annotations

from collections.abc import Collection, Iterator

import pandas as pd

from reports.claims.claim import read_source
from reports.claims.evidence import ORIGINAL, Case, Evidence, Reading
from suite.stage import STEP_STAGES

SOURCE = read_source("model_dimensions")

GIB = 2**30
_MATRIX = ("convolution", "linear", "attention core", "attention projection")
_SELF = ("spatial", "causal", "joint")
_HALF = ("float16", "bfloat16")


def denoiser_forward_flops(evidence: Evidence, workload: str) -> Iterator[Reading]:
    yield from _forward_flops(evidence, workload, _MATRIX)


def forward_flops_outside_the_core(evidence: Evidence, workload: str) -> Iterator[Reading]:
    yield from _forward_flops(evidence, workload, [segment for segment in _MATRIX if segment != "attention core"])


def _forward_flops(evidence: Evidence, workload: str, segments: Collection[str]) -> Iterator[Reading]:
    for case in evidence.select(workload=workload)[:1]:
        rows = evidence.rows(case)
        rows = rows[rows["stage"].isin(STEP_STAGES) & rows["segment"].isin(segments)]
        steps, calls = case.request.get("num_inference_steps"), _own_calls(evidence, case)
        if steps and len(calls) and rows["flops"].sum() > 0:
            images = steps * int(calls["batch"].iloc[0])
            yield _counted(case, float(rows["flops"].sum()) / images)


def self_attention_lengths(evidence: Evidence, workload: str) -> Iterator[Reading]:
    for case in evidence.select(workload=workload)[:1]:
        calls = _own_calls(evidence, case)
        lengths = [float(length) for length in calls.loc[calls["step"] == 0, "query_length"]]
        if lengths:
            yield _counted(case, lengths)


def distinct_lengths(evidence: Evidence, workload: str) -> Iterator[Reading]:
    for case in evidence.select(workload=workload)[:1]:
        lengths = sorted({float(length) for length in _own_calls(evidence, case)["query_length"]}, reverse=True)
        if lengths:
            yield _counted(case, lengths)


def frames_of_key_frame_decoder(evidence: Evidence, workload: str) -> Iterator[Reading]:
    for case in evidence.select(workload=workload)[:1]:
        lengths = set(_own_calls(evidence, case, ("temporal",))["query_length"])
        if len(lengths) == 1:
            yield _counted(case, float(lengths.pop()))


def steps(evidence: Evidence, workload: str) -> Iterator[Reading]:
    for case in evidence.select(workload=workload)[:1]:
        calls = _own_calls(evidence, case)
        if len(calls):
            yield _counted(case, float(calls["step"].nunique()))


def layers(evidence: Evidence, workload: str) -> Iterator[Reading]:
    for case in evidence.select(workload=workload)[:1]:
        calls = _own_calls(evidence, case)
        if len(calls):
            yield _counted(case, float(calls["module"].nunique()))


def width(evidence: Evidence, workload: str) -> Iterator[Reading]:
    for case in evidence.select(workload=workload)[:1]:
        calls = _own_calls(evidence, case)
        if len(calls):
            yield _counted(case, float((calls["heads"] * calls["head_dim"]).max()))


def denoiser_activation_peak_576x1024(evidence: Evidence, workload: str) -> Iterator[Reading]:
    yield from _activation_peak(evidence, workload, "denoise_step")


def decode_activation_peak_576x1024(evidence: Evidence, workload: str) -> Iterator[Reading]:
    yield from _activation_peak(evidence, workload, "decode")


def denoiser_weights(evidence: Evidence, workload: str) -> Iterator[Reading]:
    for case in evidence.select(workload=workload)[:1]:
        part = case.record.workload.parts.get("denoiser")
        if part is not None and part.precision in _HALF:
            yield _counted(case, part.weight_bytes / GIB)


def _own_calls(evidence: Evidence, case: Case, kinds: tuple[str, ...] = _SELF) -> pd.DataFrame:
    """Attention calls of the denoiser to its own tokens in its steps."""
    calls = evidence.attention_calls(case)
    own = calls["module"].astype(str).str.startswith("denoiser.") & calls["attention_kind"].isin(kinds)
    return calls[own & calls["stage"].isin(STEP_STAGES)]


def _activation_peak(evidence: Evidence, workload: str, stage: str) -> Iterator[Reading]:
    peaks = evidence.runs.memory_peaks
    for case in evidence.select(workload=workload, stack=ORIGINAL):
        size = (case.request.get("height"), case.request.get("width"))
        rows = peaks[(peaks["run_id"] == case.run_id) & (peaks["stage"] == stage)]["activations_bytes"].dropna()
        if size == (576, 1024) and evidence.precision in _HALF and len(rows):
            yield Reading(value=float(rows.max()) / GIB, basis=evidence.memory_basis, run_ids=(case.run_id,))


def _counted(case: Case, value: float | list[float]) -> Reading:
    return Reading(value=value, basis="counted", run_ids=(case.run_id,))
