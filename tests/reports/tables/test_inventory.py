"""The inventory against the record it is made from, and published numbers read as data (reports.claims.architecture)."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from reports import load
from reports.claims.architecture import published
from reports.tables import inventory
from suite import record_folder
from suite.record import Outcome, Part, Record, WorkloadFacts
from suite.record_tables import TABLES


def save_run(folder: Path, workload: str, scale: str, parts: dict[str, int]) -> None:
    facts = WorkloadFacts(
        name=workload,
        scale=scale,
        parts={name: Part(class_name="Toy", num_parameters=n, weight_bytes=2 * n) for name, n in parts.items()},
    )
    found = Record(
        run_id=workload + scale, name=f"{workload}-{scale}", created="2026-01-01T00:00:00+00:00", execution="simulate",
        workload=facts, outcome=Outcome(status="ok"),
    )  # fmt: skip
    rows = [
        {"stage": "denoise_step", "step": step, "module": "denoiser.blocks.0", "operator": "aten::mm", "calls": 1}
        for step in range(3)
    ] + [{"stage": "decode", "module": "decoder", "operator": "aten::convolution", "calls": 1}]
    calls = [
        {"module": "denoiser.blocks.0.attn1", "attention_kind": "spatial", "query_length": n, "key_length": n}
        for n in (64, 16, 64)
    ] + [
        {"module": "denoiser.blocks.0.attn2", "attention_kind": "cross", "query_length": n, "key_length": 77}
        for n in (64, 16)
    ]
    tables = {
        "operators": pa.Table.from_pylist(rows, schema=TABLES["operators"]),
        "attention": pa.Table.from_pylist(calls, schema=TABLES["attention"]),
    }
    record_folder.save(found, tables, folder / found.name)


def test_parts_stages_and_lengths_stand_beside_what_was_published(tmp_path: Path) -> None:
    save_run(tmp_path, "stable_diffusion", "paper", {"denoiser": 859_520_964, "decoder": 10})
    table = inventory.build(load(tmp_path)).set_index("part")
    denoiser = table.loc["denoiser"]
    assert denoiser["published"] == 859.5e6
    assert denoiser["difference"] == "+0.0%"
    assert denoiser["stages"] == "denoise_step x 3"
    assert denoiser["query_lengths"] == "spatial 64, 16; cross 64, 16 against 77"
    assert table.loc["decoder", "stages"] == "decode"
    assert table.loc["decoder", "weight_bytes"] == 20


def test_a_difference_is_ours_over_theirs_and_totals_are_summed(tmp_path: Path) -> None:
    save_run(tmp_path, "parti", "paper", {"text_encoder": 3_000_000_000, "denoiser": 19_000_000_000, "decoder": 5})
    table = inventory.build(load(tmp_path)).set_index("part")
    assert table.loc["text_encoder + denoiser", "num_parameters"] == 22_000_000_000
    assert table.loc["text_encoder + denoiser", "difference"] == "+10.0%"


def test_only_the_paper_scale_is_held_against_papers(tmp_path: Path) -> None:
    save_run(tmp_path, "stable_diffusion", "smoke", {"denoiser": 5})
    assert inventory.build(load(tmp_path))["published"].isna().all()


def test_what_is_only_recalled_says_so() -> None:
    recalled, computed = published("sd3", "denoiser"), published("stable_video_diffusion", "denoiser")
    assert recalled is not None
    assert recalled.trust == "reported, not verified"
    assert computed is not None
    assert computed.parameters == pytest.approx(1524.6e6)
    assert published("stable_diffusion", "no such part") is published("no such workload", "denoiser") is None
