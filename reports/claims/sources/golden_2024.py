"""Checks of what Golden et al. 2024 claim. Where the paper's words can be read in several ways, each reading is a row."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportOptionalOperand=false, reportReturnType=false
from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise, product

import numpy as np
import pandas as pd

from reports.cache_hits import cache_hits
from reports.claims.claim import read_source
from reports.claims.evidence import BASELINES, FLASH, Case, Evidence, Reading
from reports.claims.growth import by_size, exponent, overtaking
from reports.comparison import latencies
from suite.stage import STEP_STAGES
from suite.units import percent, ratio, rounded

SOURCE = read_source("golden_2024")

CORE, PROJECTION = "attention core", "attention projection"
_WHOLE, _STEPS = "of a whole generation", "of its steps alone"


def conv_share_diffusion_after_flash(evidence: Evidence) -> Iterator[Reading]:
    cases = evidence.select(stack=FLASH, family="diffusion", media="image")
    for words, steps in ((_WHOLE, False), (_STEPS, True)):
        yield from _largest_share(evidence, cases, ("convolution",), words, steps=steps)


def linear_share_transformer_after_flash(evidence: Evidence) -> Iterator[Reading]:
    cases = evidence.select(stack=FLASH, family="transformer")
    yield from _largest_share(evidence, cases, ("linear", PROJECTION), "projections are linear layers")
    yield from _largest_share(evidence, cases, ("linear",), "projections are attention")


def flash_gain_diffusion_over_transformer(evidence: Evidence) -> Iterator[Reading]:
    groups = {CORE: "attention core", f"{CORE} and {PROJECTION}": "attention with projections", "": _WHOLE}
    for (segments, words), (baseline, over) in product(groups.items(), BASELINES.items()):
        wanted = segments.split(" and ") if segments else None
        gains = {
            family: _gains(evidence, baseline, wanted, family=family, media="image")
            for family in ("diffusion", "transformer")
        }
        if not all(gains.values()):
            continue
        ratios = [
            diffusion / other for diffusion in _numbers(gains["diffusion"]) for other in _numbers(gains["transformer"])
        ]
        told = ", ".join(f"{name} {ratio(gain)}" for both in gains.values() for name, (gain, _) in both.items())
        run_ids = tuple(run for both in gains.values() for _, runs in both.values() for run in runs)
        yield Reading(
            value=[min(ratios), max(ratios)],
            basis=evidence.time_basis,
            run_ids=run_ids,
            words=f"{words}, {over}",
            note=told,
        )


def sequence_length_variation(evidence: Evidence) -> Iterator[Reading]:
    for case in evidence.select(workload="stable_diffusion")[:1]:
        calls = evidence.attention_calls(case)
        calls = calls[(calls["attention_kind"] == "spatial") & calls["stage"].isin(STEP_STAGES)]
        lengths = sorted(set(calls["query_length"]), reverse=True)
        if len(lengths) < 3:
            continue
        neighbours = max(long / short for long, short in pairwise(lengths))
        told = f"lengths {', '.join(f'{length:,}' for length in lengths)}"
        for words, value in (
            ("longest over shortest call", lengths[0] / lengths[-1]),
            ("the same, without the innermost block", lengths[0] / lengths[-2]),
            ("between neighbouring levels of the U-Net", neighbours),
        ):
            yield Reading(value=float(value), basis="counted", run_ids=(case.run_id,), words=words, note=told)


def temporal_share_of_attention(evidence: Evidence) -> Iterator[Reading]:
    shares: dict[str, dict[Case, float]] = defaultdict(dict)
    for case, kinds, words in _temporal_and_spatial(evidence, "seconds"):
        for among, whole in (
            ("all attention", kinds.sum()),
            ("temporal and spatial attention", kinds[["temporal", "spatial"]].sum()),
        ):
            shares[f"{case.stack}, {words}, of {among}"][case] = float(kinds["temporal"] / whole)
    for words, by_case in shares.items():
        least = sorted(by_case, key=lambda case: by_case[case])
        told = ", ".join(f"{case.workload} {percent(by_case[case])}" for case in least)
        yield Reading(
            value=by_case[least[0]], basis=evidence.time_basis, words=words, note=told,
            run_ids=tuple(case.run_id for case in least),
        )  # fmt: skip


def temporal_over_spatial_time(evidence: Evidence) -> Iterator[Reading]:
    for case, kinds, words in _temporal_and_spatial(evidence, "seconds", "make_a_video"):
        value = float(kinds["temporal"] / kinds["spatial"])
        yield Reading(value=value, basis=evidence.time_basis, run_ids=(case.run_id,), words=f"{case.stack}, {words}")


def spatial_over_temporal_flops(evidence: Evidence) -> Iterator[Reading]:
    for case, kinds, words in _temporal_and_spatial(evidence, "flops", "make_a_video"):
        value = float(kinds["spatial"] / kinds["temporal"])
        yield Reading(value=value, basis="counted", run_ids=(case.run_id,), words=words)


def similarity_memory_exponent(evidence: Evidence) -> Iterator[Reading]:
    for words, kinds in (("self-attention", ("spatial",)), ("self- and cross-attention", ("spatial", "cross"))):
        for cases in by_size(evidence, "stable_diffusion", FLASH, "height"):
            sizes, scores = zip(*((size, _score_bytes(evidence, case, kinds)) for size, case in cases), strict=True)
            told = f"{sizes[-2]:,.0f} to {sizes[-1]:,.0f} px"
            yield Reading(
                value=exponent(sizes[-2:], scores[-2:]), basis="counted", words=words, note=told,
                run_ids=tuple(case.run_id for _, case in cases),
            )  # fmt: skip


def convolution_steeper_than_attention_after_flash(evidence: Evidence) -> Iterator[Reading]:
    for cases in by_size(evidence, "stable_diffusion", FLASH, "height"):
        for column, basis in (("flops", "counted"), ("seconds", evidence.time_basis)):
            series = [_by_segment(_of_steps(evidence.rows(case)), column) for _, case in cases]
            if not all(row.get(CORE, 0.0) > 0 and row.get("convolution", 0.0) > 0 for row in series):
                continue
            sizes = [size for size, _ in cases]
            attention, convolution = ([float(row[name]) for row in series] for name in (CORE, "convolution"))
            at = overtaking(sizes, attention, convolution)
            told = f"attention overtakes convolution at {at:,.0f} px" if at else "attention stays below convolution"
            for ends, which in _ranges(sizes):
                slopes = [exponent(ends, [values[index] for index in which]) for values in (convolution, attention)]
                yield Reading(
                    value=slopes[0] - slopes[1], basis=basis, run_ids=tuple(case.run_id for _, case in cases),
                    words=f"{'FLOPs' if column == 'flops' else 'time'}, {ends[0]:,.0f} to {ends[1]:,.0f} px",
                    note=f"exponents {rounded(slopes[0])} and {rounded(slopes[1])}; {told}",
                )  # fmt: skip


def temporal_flops_exponent_in_frames(evidence: Evidence) -> Iterator[Reading]:
    for cases in by_size(evidence, "animatediff", FLASH, "num_frames"):
        for words, parts in (("attention core", (CORE,)), ("with projections", (CORE, PROJECTION))):
            flops = [_by_kind(evidence.rows(case), "flops", parts).get("temporal", 0.0) for _, case in cases]
            if min(flops) <= 0:
                continue
            frames, height = [number for number, _ in cases], cases[0][1].request.get("height")
            yield Reading(
                value=exponent(frames[-2:], flops[-2:]), basis="counted", words=f"{words}, {height} px",
                run_ids=tuple(case.run_id for _, case in cases),
                note=f"{cases[0][1].workload}, {frames[-2]:.0f} to {frames[-1]:.0f} frames",
            )  # fmt: skip


def arithmetic_intensity_over_llm(evidence: Evidence) -> Iterator[Reading]:
    language = evidence.select(workload="llama", stack=FLASH) or evidence.select(workload="llama")
    diffusion = evidence.select(stack=FLASH, family="diffusion", media="image")
    for words, intensity in (
        ("FLOPs of a generation over bytes of all weights", _per_weight_byte),
        ("FLOPs over bytes moved", _per_moved_byte),
    ):
        found = {case.workload: (intensity(evidence, case), case.run_id) for case in diffusion}
        base = intensity(evidence, language[0]) if language else None
        if not found or not base:
            continue
        told = ", ".join(f"{name} {rounded(value)}" for name, (value, _) in found.items())
        yield Reading(
            value=max(value for value, _ in found.values()) / base, basis="counted", words=words,
            run_ids=(*(run for _, run in found.values()), language[0].run_id),
            note=f"FLOP a byte: {told}, llama {rounded(base)}",
        )  # fmt: skip


def temporal_l1_hit_rate_ratio(evidence: Evidence) -> Iterator[Reading]:
    known, run_ids = cache_hits(evidence.runs), {case.run_id for case in evidence.select()}
    for row in known.to_dict("records"):
        is_meant = row["attention_kernel"] == "math" and row["attention_kind"] == "temporal"
        if is_meant and row["run_id"] in run_ids and pd.notna(row["l1_over_spatial"]):
            words = f"{row['workload']}, {row['kernel_class']} kernels"
            yield Reading(value=row["l1_over_spatial"], basis="measured", run_ids=(row["run_id"],), words=words)


def flash_end_to_end_speedup(evidence: Evidence, workload: str) -> Iterator[Reading]:
    for baseline, over in BASELINES.items():
        for slow, flash in evidence.pairs(baseline, workload=workload):
            before, after = evidence.seconds(slow), evidence.seconds(flash)
            if evidence.time_basis == "measured":
                yield from _paired(evidence, flash, baseline)
            elif before and after:
                ids = (slow.run_id, flash.run_id)
                yield Reading(value=before / after, basis="estimated", run_ids=ids, words=over)


def _paired(evidence: Evidence, flash: Case, baseline: str) -> Iterator[Reading]:
    """The speed-up over a baseline as it was measured in one run, where that was its reference."""
    frame = latencies(evidence.runs)
    rows = frame[(frame["run_id"] == flash.run_id) & (frame["reference"] == baseline)] if len(frame) else frame
    for row in rows[rows["ref_speedup"].notna()].to_dict("records") if len(rows) else ():
        yield Reading(
            value=row["ref_speedup"], low=row["ref_low"], high=row["ref_high"], basis="measured",
            run_ids=(flash.run_id,), words=BASELINES[baseline], note=f"{row['ref_pairs']:.0f} paired trials",
        )  # fmt: skip


def _largest_share(
    evidence: Evidence, cases: list[Case], segments: tuple[str, ...], words: str, *, steps: bool = False
) -> Iterator[Reading]:
    """The largest share of time of some segments among runs."""
    shares = {}
    for case in cases:
        rows = evidence.rows(case)
        rows = _of_steps(rows) if steps else rows
        seconds = _by_segment(rows, "seconds")
        if rows["clock"].notna().any() and seconds.sum() > 0:
            shares[case] = float(seconds.reindex(list(segments)).sum() / seconds.sum())
    if not shares:
        return
    ordered = sorted(shares, key=lambda case: -shares[case])
    told = ", ".join(f"{case.workload} {percent(shares[case])}" for case in ordered)
    yield Reading(
        value=shares[ordered[0]], basis=evidence.time_basis, words=words, note=told,
        run_ids=tuple(case.run_id for case in ordered),
    )  # fmt: skip


def _gains(
    evidence: Evidence, baseline: str, segments: list[str] | None, **wanted: str
) -> dict[str, tuple[float, tuple[str, str]]]:
    """Speed-up of some segments by Flash Attention over a baseline, by workload, with the two runs of each."""
    found = {}
    for slow, flash in evidence.pairs(baseline, **wanted):
        seconds = [_by_segment(evidence.rows(case), "seconds") for case in (slow, flash)]
        before, after = (float((part.reindex(segments) if segments else part).sum()) for part in seconds)
        if before > 0 and after > 0:
            found[slow.workload] = (before / after, (slow.run_id, flash.run_id))
    return found


def _numbers(gains: dict[str, tuple[float, tuple[str, str]]]) -> list[float]:
    return [gain for gain, _ in gains.values()]


def _temporal_and_spatial(
    evidence: Evidence, column: str, workload: str | None = None
) -> Iterator[tuple[Case, pd.Series, str]]:
    """Runs with both kinds, with a column summed by kind, without and with projections."""
    for case in evidence.select(workload=workload, media="video"):
        if case.workload not in SOURCE.requests:
            continue
        for words, parts in (("core only", (CORE,)), ("with projections", (CORE, PROJECTION))):
            kinds = _by_kind(evidence.rows(case), column, parts)
            if kinds.get("temporal", 0.0) > 0 and kinds.get("spatial", 0.0) > 0:
                yield case, kinds, words


def _of_steps(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["stage"].isin(STEP_STAGES)]


def _by_segment(rows: pd.DataFrame, column: str) -> pd.Series:
    return rows.groupby("segment")[column].sum()


def _by_kind(rows: pd.DataFrame, column: str, segments: tuple[str, ...]) -> pd.Series:
    return rows[rows["segment"].isin(segments)].groupby("kind")[column].sum()


def _score_bytes(evidence: Evidence, case: Case, kinds: tuple[str, ...]) -> float:
    """Bytes of all similarity matrices of one step in half precision."""
    calls = evidence.attention_calls(case)
    calls = calls[calls["attention_kind"].isin(kinds) & (calls["step"] == 0)]
    return float(2 * (calls["batch"] * calls["heads"] * calls["query_length"] * calls["key_length"]).sum())


def _per_weight_byte(evidence: Evidence, case: Case) -> float | None:
    weights = sum(part.weight_bytes for part in case.record.workload.parts.values())
    return float(evidence.rows(case)["flops"].sum()) / weights if weights else None


def _per_moved_byte(evidence: Evidence, case: Case) -> float | None:
    rows = evidence.rows(case)
    moved = float(rows["bytes_read"].sum() + rows["bytes_written"].sum())
    return float(rows["flops"].sum()) / moved if moved else None


def _ranges(sizes: list[float]) -> Iterator[tuple[tuple[float, float], tuple[int, int]]]:
    """The sizes up to 512 px, which the paper is reported to have swept, and all of them."""
    swept = int(np.searchsorted(sizes, 512, side="right")) - 1
    for last in dict.fromkeys((swept, len(sizes) - 1)):
        if last > 0:
            yield (sizes[0], sizes[last]), (0, last)
