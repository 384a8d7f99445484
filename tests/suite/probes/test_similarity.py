"""The similarity probe: rows for every pair of steps of every layer that a pattern names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from toy import ToyWorkload, toy_subject

from suite.errors import ConfigError
from suite.probes.similarity import Similarity
from suite.subject import Subject


def test_a_toys_two_steps(tmp_path: Path) -> None:
    """Exact, since the toy's features are fewer than a sketch holds."""
    workload = ToyWorkload()
    gave: list[torch.Tensor] = []
    removed = workload.parts["denoiser"].attn.register_forward_hook(lambda *call: gave.append(call[-1].flatten()))
    rows = Similarity(["attn", "nothing"]).observe(toy_subject(tmp_path, workload)).tables["similarity"].to_pylist()
    removed.remove()
    expected = torch.cosine_similarity(gave[0].double(), gave[1].double(), dim=0).item()
    found = {(row["module"], row["step_i"], row["step_j"]): row["similarity"] for row in rows}
    assert set(found) == {("denoiser.attn", i, j) for i in range(2) for j in range(2)}
    assert found["denoiser.attn", 0, 1] == found["denoiser.attn", 1, 0] == pytest.approx(expected, abs=1e-6)
    assert not workload.parts["denoiser"].attn._forward_hooks


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("animatediff", "denoiser.up_blocks.3.motion_modules.2"),
        ("muse", "denoiser.blocks.3"),
        ("sd3", "transformer_blocks"),
    ],
)
def test_its_patterns_find_the_layers_of_figure_5(
    name: str, layer: str, experiment: Callable, smoke_workload: Callable, tmp_path: Path
) -> None:
    run = experiment(f"workload={name}", "probe=similarity")
    subject = Subject(smoke_workload(name), {"stack": {}}, run.protocol, tmp_path)
    table = run.probes["similarity"].observe(subject).tables["similarity"]
    modules = set(table.column("module").to_pylist())
    assert any(layer in module for module in modules)
    steps = subject.workload.num_steps
    assert table.num_rows == len(modules) * steps**2
    assert all(-1 <= value <= 1 for value in table.column("similarity").to_pylist())


def test_a_wrong_pattern_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match="no regular expression"):
        Similarity(["("])
