"""Records as real runs would leave them, made of a small cost model: no model is run and every number is known.

``python tests/reports/synthetic.py FOLDER [COPIES]`` writes the study that the tests use.
"""

from __future__ import annotations

import sys
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from suite.record import Applied, Arm, Outcome, Part, ProbeCost, Profile, Record, Sample, WorkloadFacts
from suite.record_folder import save
from suite.record_tables import TABLES

MIB = 1024**2
STACKS = ((), ("baseline_attention",), ("flash_attention",), ("vae_slicing",))
REFERENCE = "baseline_attention"


@dataclass(frozen=True)
class Spec:
    """A workload's shape: which operators a step has, at which lengths it attends, what its parts weigh."""

    family: str
    media: str
    step_stage: str
    num_steps: int
    operators: tuple[tuple[str, str, str, float], ...]
    """(module, operator, class, seconds a step) of everything in the denoiser that is not attention."""
    attention: tuple[tuple[str, str, int, int], ...]
    """(module, kind, query length, key length) in call order; a causal key grows with the step."""
    core_s: float
    """Seconds of one attention core with the math kernel, for 4096 queries and keys."""
    decode_s: float
    weights: dict[str, int] = field(default_factory=dict)
    activations_bytes: dict[str, int] = field(default_factory=dict)
    kernel: str = "math"


def _unet(blocks: int, seconds: float) -> tuple[tuple[str, str, str, float], ...]:
    rows = []
    for block in range(blocks):
        name = f"denoiser.down_blocks.{block}"
        rows += [
            (f"{name}.resnets.0.conv1", "aten::convolution", "convolution", seconds),
            (f"{name}.resnets.0.norm1", "aten::native_group_norm", "normalization", seconds / 6),
            (f"{name}.resnets.0.nonlinearity", "aten::silu", "elementwise", seconds / 8),
            (f"{name}.attentions.0.ff", "aten::linear", "linear", seconds / 2),
            (f"{name}.upsample", "aten::cat", "data_movement", seconds / 12),
        ]
    return tuple(rows)


def _unet_attention(lengths: tuple[int, ...], temporal: int = 0) -> tuple[tuple[str, str, int, int], ...]:
    rows: list[tuple[str, str, int, int]] = []
    for index, length in enumerate(lengths):
        name = f"denoiser.blocks.{index}.attentions.0"
        rows += [(f"{name}.attn1", "spatial", length, length), (f"{name}.attn2", "cross", length, 77)]
        if temporal:
            rows.append((f"denoiser.blocks.{index}.motion.attn1", "temporal", temporal, temporal))
    return tuple(rows)


SPECS = {
    "stable_diffusion": Spec(
        "diffusion_latent", "image", "denoise_step", 10, _unet(4, 0.012),
        _unet_attention((4096, 1024, 256, 64, 256, 1024, 4096)), 0.030, 0.18,
        {"text_encoder": 470 * MIB, "denoiser": 3279 * MIB, "decoder": 190 * MIB},
        {"text_encode": 20 * MIB, "denoise_step": 900 * MIB, "decode": 2600 * MIB},
    ),
    "animatediff": Spec(
        "diffusion_latent", "video", "denoise_step", 8, _unet(4, 0.05),
        _unet_attention((1024, 256, 64, 256, 1024), temporal=16), 0.8, 0.9,
        {"text_encoder": 470 * MIB, "denoiser": 4980 * MIB, "decoder": 190 * MIB},
        {"text_encode": 20 * MIB, "denoise_step": 2100 * MIB, "decode": 7100 * MIB},
    ),
    "parti": Spec(
        "transformer_autoregressive", "image", "decode_step", 64,
        tuple((f"denoiser.layers.{n}.fc", "aten::linear", "linear", 0.002) for n in range(6)),
        tuple((f"denoiser.layers.{n}.self_attn", "causal", 1, 0) for n in range(6)), 2.0, 0.05,
        {"text_encoder": 900 * MIB, "denoiser": 5200 * MIB, "decoder": 120 * MIB},
        {"text_encode": 15 * MIB, "decode_step": 310 * MIB, "decode": 400 * MIB},
        kernel="eager",
    ),
}  # fmt: skip

_CORE_FACTOR = {"baseline_attention": 1.0, "flash_attention": 0.3}
_DECODE_FACTOR = {"vae_slicing": 1.06}


def random_of(*names: object) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32("/".join(map(str, names)).encode()))


def kind_factor(stack: tuple[str, ...]) -> float:
    """Attention core time of a stack against the math kernel; the library's default is nearly flash."""
    return next((_CORE_FACTOR[name] for name in stack if name in _CORE_FACTOR), 0.32)


def _core_s(spec: Spec, stack: tuple[str, ...], query: int, key: int) -> float:
    # A temporal sequence is short but there is one for each of a frame's positions, so it is priced as 640 long.
    work = max(query, 640 if query == 16 else 1) * max(key, 640 if key == 16 else 1) / 4096**2
    return spec.core_s * work * kind_factor(stack) + 2e-4


def attention_rows(spec: Spec, stack: tuple[str, ...]) -> list[dict[str, Any]]:
    rows = []
    for step in range(spec.num_steps):
        for module, kind, query, key in spec.attention:
            length = key or 16 + step
            seconds = _core_s(spec, stack, query, length)
            kernel = "flash" if "flash_attention" in stack else spec.kernel
            rows.append(
                {"call": len(rows), "stage": spec.step_stage, "step": step, "module": module, "attention_kind": kind,
                 "batch": 2, "heads": 8, "query_length": query, "key_length": length, "head_dim": 64,
                 "kernel": kernel, "precision": "float32", "host_s": seconds, "device_s": None}
            )  # fmt: skip
    return rows


def operator_rows(spec: Spec, stack: tuple[str, ...]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []

    def add(
        stage: str,
        step: int | None,
        module: str,
        operator: str,
        operator_class: str,
        seconds: float,
        flops: float | None,
        kind: str | None = None,
        part: str | None = None,
    ) -> None:
        rows.append(
            {"stage": stage, "step": step, "module": module, "operator": operator, "operator_class": operator_class,
             "attention_kind": kind, "attention_part": part, "precision": "float32", "calls": 2,
             "host_self_s": seconds, "device_self_s": None, "estimated_s": None,
             "flops": None if flops is None else int(flops), "bytes_read": int(seconds * 4e9),
             "bytes_written": int(seconds * 1e9)}
        )  # fmt: skip

    add("text_encode", None, "text_encoder.layers.0.fc", "aten::linear", "linear", 0.03, 3e9)
    add("text_encode", None, "text_encoder.embeddings", "aten::embedding", "embedding", 0.001, 0)
    for step in range(spec.num_steps):
        for module, operator, operator_class, seconds in spec.operators:
            per_second = {"convolution": 9e10, "linear": 7e10}.get(operator_class)
            flops = None if operator_class == "data_movement" else seconds * (per_second or 1e9)
            add(spec.step_stage, step, module, operator, operator_class, seconds, flops)
        for call in attention_rows(spec, stack)[: len(spec.attention)]:
            seconds = call["host_s"]
            projection_s = 2e-4 + call["query_length"] * 1.2e-6
            add(spec.step_stage, step, call["module"], "aten::scaled_dot_product_attention", "attention", seconds,
                4e8, call["attention_kind"], "core")  # fmt: skip
            add(spec.step_stage, step, call["module"] + ".to_q", "aten::linear", "linear", projection_s,
                projection_s * 7e10, call["attention_kind"], "projection")  # fmt: skip
    factor = next((_DECODE_FACTOR[name] for name in stack if name in _DECODE_FACTOR), 1.0)
    add(
        "decode",
        None,
        "decoder.up_blocks.0.conv",
        "aten::convolution",
        "convolution",
        spec.decode_s * 0.8 * factor,
        2e10,
    )
    add(
        "decode", None, "decoder.up_blocks.0.norm", "aten::native_group_norm", "normalization", spec.decode_s * 0.2, 1e8
    )
    add("generate", None, "", "unattributed", "other", 0.02, None)
    return rows


def stage_seconds(spec: Spec, stack: tuple[str, ...]) -> dict[tuple[str, int | None], float]:
    """Seconds of each span, from the operator rows: what a quiet trial takes without noise."""
    spans: dict[tuple[str, int | None], float] = {}
    for row in operator_rows(spec, stack):
        if row["stage"] != "generate":
            spans[row["stage"], row["step"]] = spans.get((row["stage"], row["step"]), 0.0) + row["host_self_s"]
    return spans


def samples(spec: Spec, arms: dict[str, tuple[str, ...]], num_trials: int, seed: str) -> list[Sample]:
    random, found = random_of(seed), []
    for trial in range(-1, num_trials):
        drift = (
            1.3 if trial < 0 else 1 + 0.03 * np.sin(trial)
        )  # the first is a warm-up; the drift is shared by the arms
        for arm, stack in arms.items():
            total = 0.0
            for (stage, step), seconds in stage_seconds(spec, stack).items():
                value = float(seconds * drift * random.lognormal(0, 0.01))
                total += value
                kept = {"stage": stage, "step": step, "trial": max(trial, 0), "arm": arm, "warmup": trial < 0}
                found.append(Sample(metric="latency_s", value=value, **kept))
                if step is not None:
                    found.append(
                        Sample(metric="latency_s", value=value * 0.9, **(kept | {"stage": "denoiser_forward"}))
                    )
            found.append(Sample(metric="latency_s", value=total + 0.02, trial=max(trial, 0), arm=arm, warmup=trial < 0))
    return found


def memory_tables(spec: Spec, stack: tuple[str, ...]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Time line and peaks by stage."""
    weights = sum(spec.weights.values())
    lowered = {"decode": 0.25} if "vae_slicing" in stack else {}
    attention = 1.6 if stack == ("baseline_attention",) else 1.0
    line, peaks, clock = [], [], 0.0
    for (stage, step), seconds in stage_seconds(spec, stack).items():
        activations = spec.activations_bytes[stage] * lowered.get(stage, 1.0)
        activations *= attention if stage == spec.step_stage else 1.0
        for part in range(8):
            live = weights + int(activations * np.sin(np.pi * (part + 0.5) / 8))
            line.append(
                {"t_s": clock, "stage": stage, "step": step, "allocated_bytes": live,
                 "reserved_bytes": None, "device_bytes": None, "resident_bytes": int(live * 1.1)}
            )  # fmt: skip
            clock += seconds / 8
        if not any(peak["stage"] == stage for peak in peaks):
            peaks.append(_peak(stage, weights, int(activations)))
    top = max(peaks, key=lambda peak: peak["allocated_bytes"])
    return line, [_peak("generate", weights, top["activations_bytes"]), *peaks]


def _peak(stage: str, weights: int, activations: int) -> dict[str, Any]:
    return {"stage": stage, "weights_bytes": weights, "activations_bytes": activations,
            "allocated_bytes": weights + activations, "reserved_bytes": None, "device_bytes": None,
            "resident_bytes": None}  # fmt: skip


def table(name: str, rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=TABLES[name])


def make_run(
    root: Path,
    workload: str,
    stack: tuple[str, ...] = (),
    *,
    num_trials: int = 10,
    outcome: Outcome | None = None,
    shown: str | None = None,
    folder: str | None = None,
    seed: str = "",
) -> Path:
    """Write one run's folder below `root`; `shown` replaces the workload's name (for hostile names)."""
    spec, name = SPECS[workload], shown or workload
    run_id = f"{zlib.crc32(f'{name}/{stack}/{seed}'.encode()):08x}{zlib.crc32(seed.encode()):08x}"
    outcome = outcome or Outcome(status="ok")
    arms = {"stack": stack, "out_of_the_box": (), "reference": (REFERENCE,)}
    finished = outcome.status == "ok"
    quiet = sum(stage_seconds(spec, stack).values())
    line, peaks = memory_tables(spec, stack)
    record = Record(
        run_id=run_id,
        name=f"{name}/{'+'.join(stack) or 'out_of_the_box'}",
        created="2026-11-21T10:00:00+00:00",
        execution="measure",
        workload=_facts(spec, name),
        outcome=outcome,
        request={"prompt": "an astronaut riding a horse", "batch_size": 1, "height": 512, "width": 512,
                 "num_inference_steps": spec.num_steps, "guidance_scale": 7.5, "seed": 0},
        config={"optimization": {key: {} for key in stack}, "reference": {REFERENCE: {}}, "study": "synthetic",
                "command": f"workload={workload} 'optimization=[{','.join(stack)}]'"},
        environment=ENVIRONMENT,
        arms=[
            Arm(name=arm, optimizations=[Applied(name=key, exact=True, changes="attention processors set") for key in keys],
                num_warmup_trials=1, steady=True)
            for arm, keys in arms.items()
        ],
        samples=samples(spec, arms, num_trials, f"{name}{stack}{seed}") if finished else [],
        probe_costs=[ProbeCost(probe=probe, watched_s=quiet * cost, quiet_s=quiet)
                     for probe, cost in (("operators", 1.9), ("memory", 1.3), ("attention", 1.1))] if finished else [],
        profile=Profile(span_s=quiet + 0.02, num_events=4321, num_steps=spec.num_steps,
                        operators_without_flops=["aten::cat"]) if finished else None,
    )  # fmt: skip
    tables = {
        "operators": table("operators", operator_rows(spec, stack)),
        "attention": table("attention", attention_rows(spec, stack)),
        "memory": table("memory", line),
        "memory_peaks": table("memory_peaks", peaks),
    }
    path = root / (folder or f"{workload}-{'+'.join(stack) or 'out_of_the_box'}-{run_id[:8]}")
    save(record, tables if finished else {}, path)
    return path


ENVIRONMENT = {
    "python": "3.11.7",
    "system": "Linux-6.1-x86_64",
    "packages": {"torch": "2.13.0+cpu", "diffusers": "0.42.1", "transformers": "5.3.0"},
    "cpu": {"name": "AMD EPYC 9B14", "num_physical_cores": 1, "num_logical_cores": 2, "memory_bytes": 25_000_000_000},
    "torch": {"num_threads": 1, "cpu_capability": "AVX512", "deterministic": False},
    "device": "cpu",
    "gpu": None,
    "git": {"commit": "40b05aee9d1c", "changed": False},
}


def _facts(spec: Spec, name: str) -> WorkloadFacts:
    return WorkloadFacts(
        name=name,
        family=spec.family,
        media=spec.media,
        scale="smoke",
        weights="random",
        parts={
            part: Part(
                class_name=f"{part.title()}Model", num_parameters=size // 4, weight_bytes=size, precision="float32"
            )
            for part, size in spec.weights.items()
        },
        notes=["Weights are random: times are real, images are noise."],
    )


def make_study(root: Path, workloads: tuple[str, ...] = tuple(SPECS), copy: int = 0) -> list[Path]:
    """The quickstart study: every workload with every stack; VAE slicing does not apply to parti."""
    made = []
    for workload in workloads:
        for stack in STACKS:
            refused = workload == "parti" and "vae_slicing" in stack
            outcome = Outcome(status="not_applicable", reason="parti has no VAE to slice") if refused else None
            shown = workload if copy == 0 else f"{workload}-{copy}"
            made.append(make_run(root, workload, stack, outcome=outcome, shown=shown, seed=str(copy or "")))
    return made


if __name__ == "__main__":
    for index in range(int(sys.argv[2]) if len(sys.argv) > 2 else 1):
        make_study(Path(sys.argv[1]), copy=index)
