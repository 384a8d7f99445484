from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from suite.attribution.marks import PREFIX
from suite.attribution.scopes import AttentionRule, StageScopes, module_scopes, scope_marks
from suite.stage import stage, watched_by

RULES = [AttentionRule(r"attn\d?$", "spatial")]


class Attention(nn.Module):
    def __init__(self, fails: bool = False) -> None:
        super().__init__()
        self.to_q = nn.Linear(4, 4)
        self.to_out = nn.ModuleList([nn.Linear(4, 4), nn.Dropout()])
        self.fails = fails

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.fails:
            raise RuntimeError("out of luck")
        return self.to_out[0](self.to_q(x))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attn1 = Attention()
        self.norm = nn.LayerNorm(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.attn1(x))


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(4, 4)
        self.inner = nn.Sequential(Block())
        self.blocks = nn.ModuleList([Block(), nn.Linear(4, 4)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return x

    def decode(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x)


class Reentrant(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 4))

    def forward(self, x: torch.Tensor, depth: int = 2) -> torch.Tensor:
        return self(self.body(x), depth - 1) if depth else x


def recorded(folder: Path, profiler: profile) -> list[tuple[str, float, float]]:
    """Our marks in the trace, in the order in which they opened: name, start, end."""
    path = folder / "t.json"
    profiler.export_chrome_trace(str(path))
    events = json.loads(path.read_text())["traceEvents"]
    marks = [event for event in events if event["ph"] == "X" and event["name"].startswith(PREFIX)]
    found = [(event["name"].removeprefix(PREFIX), event["ts"], event["ts"] + event["dur"]) for event in marks]
    return sorted(found, key=lambda mark: (mark[1], -mark[2]))


def names(marks: Sequence[tuple[str, float, float]]) -> list[str]:
    return [name for name, _, _ in marks]


def num_hooks(*modules: nn.Module) -> int:
    every = [inner for module in modules for inner in module.modules()]
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in every)


def test_only_roots_of_meaning_are_marked() -> None:
    marks = [mark.removeprefix(PREFIX) for _, mark in scope_marks({"denoiser": Model()}, RULES)]
    assert marks == [
        "module/denoiser",
        "module/denoiser.inner",
        "module/denoiser.inner.0",
        "attention/spatial/denoiser.inner.0.attn1",
        "module/denoiser.blocks.0",
        "attention/spatial/denoiser.blocks.0.attn1",
    ]


def test_the_outermost_match_and_the_first_rule_win() -> None:
    rules = [AttentionRule(r"blocks\.0$", "temporal"), AttentionRule(r"blocks|attn", "joint")]
    marks = {mark.removeprefix(PREFIX) for _, mark in scope_marks({"denoiser": Model()}, rules)}
    assert "attention/temporal/denoiser.blocks.0" in marks
    assert "attention/joint/denoiser.inner.0.attn1" in marks
    assert not any("denoiser.blocks.0." in mark for mark in marks)


def test_a_shared_module_is_marked_once_and_a_part_by_its_own_name() -> None:
    model = Model()
    marks = scope_marks({"denoiser": model, "decoder": model.inner, "again": model}, RULES)
    assert len({id(module) for module, _ in marks}) == len(marks)
    assert {id(module): mark for module, mark in marks}[id(model.inner)].removeprefix(PREFIX) == "module/decoder"


def test_marks_nest_and_hooks_go(tmp_path: Path) -> None:
    model = Model()
    with profile(activities=[ProfilerActivity.CPU]) as profiler, watched_by([StageScopes()]):
        with module_scopes({"denoiser": model}, RULES), stage("generate"):
            with stage("denoise_step"):
                model(torch.zeros(1, 4))
            with stage("decode"):
                model.decode(torch.zeros(1, 4))
        model(torch.zeros(1, 4))
    marks = recorded(tmp_path, profiler)
    assert names(marks) == [
        "stage/generate",
        "stage/denoise_step",
        "module/denoiser",
        "module/denoiser.blocks.0",
        "attention/spatial/denoiser.blocks.0.attn1",
        "stage/decode",
        "module/denoiser.inner",
        "module/denoiser.inner.0",
        "attention/spatial/denoiser.inner.0.attn1",
    ]
    assert marks[4][2] <= marks[3][2] <= marks[2][2] <= marks[1][2] <= marks[5][1]
    assert num_hooks(model) == 0


def test_marks_close_when_a_module_fails(tmp_path: Path) -> None:
    model = Model()
    model.blocks[0].attn1.fails = True
    healthy = Model()
    parts = {"denoiser": model, "decoder": healthy}
    with (
        profile(activities=[ProfilerActivity.CPU]) as profiler,
        watched_by([StageScopes()]),
        module_scopes(parts, RULES),
        stage("generate"),
    ):
        with pytest.raises(RuntimeError, match="out of luck"):
            model(torch.zeros(1, 4))
        healthy(torch.zeros(1, 4))
    marks = recorded(tmp_path, profiler)
    ends = {name: end for name, _, end in marks}
    starts = {name: start for name, start, _ in marks}
    assert ends["module/denoiser.blocks.0"] <= ends["module/denoiser"] <= starts["module/decoder"]
    assert ends["module/decoder"] <= ends["stage/generate"]
    assert num_hooks(model, healthy) == 0


def test_a_foreign_hook_that_fails_closes_nothing_of_others(tmp_path: Path) -> None:
    model = Model()

    def refuse(module: nn.Module, args: object) -> None:
        raise RuntimeError("not today")

    with profile(activities=[ProfilerActivity.CPU]) as profiler, module_scopes({"denoiser": model}, RULES):
        model.blocks[0].register_forward_pre_hook(refuse, prepend=True)  # before ours can open a span
        with pytest.raises(RuntimeError, match="not today"):
            model(torch.zeros(1, 4))
    assert names(recorded(tmp_path, profiler)) == ["module/denoiser"]


def test_a_module_that_calls_itself_gets_a_span_a_call(tmp_path: Path) -> None:
    model = Reentrant()
    with profile(activities=[ProfilerActivity.CPU]) as profiler, module_scopes({"denoiser": model}, []):
        model(torch.zeros(1, 4))
    marks = [mark for mark in recorded(tmp_path, profiler) if mark[0] == "module/denoiser"]
    assert len(marks) == 3
    assert marks[0][2] >= marks[1][2] >= marks[2][2]


def test_scopes_change_no_output() -> None:
    model = Model().eval()
    x = torch.randn(3, 4)
    plain = model(x)
    with module_scopes({"denoiser": model}, RULES), watched_by([StageScopes()]), stage("generate"):
        assert torch.equal(model(x), plain)


def test_compiled_modules_are_marked_from_outside(tmp_path: Path) -> None:
    model = Model().eval()
    graphs = []

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> object:
        graphs.append(graph)
        return graph.forward

    model.blocks[0].compile(backend=backend)
    wrapped = torch.compile(Block().eval(), backend=backend)
    x = torch.randn(3, 4)
    model(x), wrapped(x)
    num_graphs = len(graphs)
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        with module_scopes({"denoiser": model, "decoder": wrapped}, RULES):
            model(x), wrapped(x)
        assert model.blocks[0]._compiled_call_impl.__name__ != "marked_call"
    assert names(recorded(tmp_path, profiler)) == ["module/denoiser", "module/denoiser.blocks.0", "module/decoder"]
    assert len(graphs) == num_graphs > 0
