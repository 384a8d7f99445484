"""Configuration: every option composes, every YAML matches the signature of what it builds, wrong input is one sentence."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT
from omegaconf import OmegaConf

CONF = ROOT / "conf"
RUNTIME = {"self", "request", "weights", "placement", "call_arguments"}
OPTIONS = sorted(path for path in CONF.glob("*/*.yaml"))


def targets(node: Any) -> Iterator[dict[str, Any]]:
    """Every mapping inside a YAML document that names a ``_target_``."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield node
        for value in node.values():
            yield from targets(value)


def put_inside(document: dict[str, Any], component: str) -> set[str]:
    """Components that a document's defaults put inside its own, each under its own name: ``- NAME@component``."""
    places = [entry.split("@") for entry in document.get("defaults", []) if isinstance(entry, str) and "@" in entry]
    return {name for name, package in places if package == component}


def whole(path: Path, compose: Callable) -> dict[str, Any]:
    """What a YAML says, and for a variant of a workload what it says together with the one it is made of."""
    document = yaml.safe_load(path.read_text())
    if path.parent.name != "workload" or "defaults" not in document:
        return document
    return OmegaConf.to_container(compose(f"workload={path.stem}")[0].workload)


def signature(path: str) -> set[str]:
    from suite.build import find_target

    return set(inspect.signature(find_target(path)).parameters) - RUNTIME


@pytest.mark.parametrize("path", OPTIONS, ids=lambda path: str(path.relative_to(CONF)))
def test_every_option_composes(path: Path, compose: Callable) -> None:
    group, option = path.parent.name, path.stem
    config, choices = compose(f"{group}={option}")
    if group != "study":  # a study is a set of overrides, not a choice that stays
        chosen = choices[group]
        assert option in chosen
    assert config.request.batch_size is None or config.request.batch_size >= 1


@pytest.mark.parametrize("path", OPTIONS, ids=lambda path: str(path.relative_to(CONF)))
def test_yaml_keys_equal_the_targets_signature(path: Path, compose: Callable) -> None:
    document = whole(path, compose)
    for node in targets(document):
        expected = signature(node["_target_"])
        if "scales" in node:
            for scale, chosen in node["scales"].items():
                assert set(chosen["dimensions"]) == expected, f"{path.stem} at scale={scale}"
        else:
            assert set(node) - {"_target_"} | put_inside(document, path.stem) == expected


@pytest.mark.parametrize("path", sorted((CONF / "workload").glob("*.yaml")), ids=lambda path: path.stem)
def test_workloads_come_at_every_scale_with_request_keys_that_exist(path: Path, compose: Callable) -> None:
    from suite.schema import RequestConfig

    scales = whole(path, compose)["scales"]
    assert set(scales) == {option.stem for option in (CONF / "scale").glob("*.yaml")}
    for chosen in scales.values():
        assert set(chosen["request"]) <= set(RequestConfig.__dataclass_fields__)


def test_options_that_build_one_component_are_named_after_their_file() -> None:
    for group in ("optimization", "probe"):
        for path in (CONF / group).glob("*.yaml"):
            content = list(yaml.safe_load(path.read_text()))
            assert content in ([path.stem], ["defaults", path.stem], ["defaults"]), (
                "one component, or a stack of others"
            )


def test_stack_order_is_the_order_typed(experiment: Callable) -> None:
    forward = experiment("optimization=[flash_attention,vae_slicing]")
    backward = experiment("optimization=[vae_slicing,flash_attention]")
    assert list(forward.stack) == ["flash_attention", "vae_slicing"]
    assert list(backward.stack) == ["vae_slicing", "flash_attention"]
    assert forward.run_id != backward.run_id


def test_identity_ignores_where_results_go_and_sees_everything_else(experiment: Callable) -> None:
    plain = experiment()
    assert experiment("output_dir=elsewhere", "rerun=true", "save_output=true").run_id == plain.run_id
    for change in (
        "request.seed=1",
        "protocol.max_trials=51",
        "weights.seed=1",
        "scale=small",
        "device.precision=bfloat16",
    ):
        assert experiment(change).run_id != plain.run_id, change


def test_an_asked_value_equal_to_the_default_is_the_same_run(experiment: Callable) -> None:
    assert experiment("request.height=128").run_id == experiment().run_id


def test_only_our_own_targets_are_instantiated() -> None:
    from suite.build import find_target
    from suite.errors import ConfigError

    with pytest.raises(ConfigError, match="only classes inside"):
        find_target("os.system")
    with pytest.raises(ConfigError, match="no such class"):
        find_target("suite.probes.latency.Latencies")


def test_a_study_sets_its_values_and_the_command_line_wins(compose: Callable) -> None:
    config, _ = compose("study=quickstart")
    assert (config.study, config.output_dir, config.protocol.max_trials) == ("quickstart", "outputs/quickstart", 10)
    assert compose("study=quickstart", "output_dir=elsewhere")[0].output_dir == "elsewhere"


WRONG = {
    "a misspelt key": (["protocol.num_trails=3"], ["protocol.num_trails", "min_trials"]),
    "a misspelt workload key": (["workload.foo=3"], ["workload.foo", "scales"]),
    "the setting that TF32 had": (
        ["device.allow_tf32=true"],
        ["device.allow_tf32", "device.allow_tf32_matmul", "device.allow_tf32_cudnn"],
    ),
    "an unknown workload": (
        ["workload=stable_difusion"],
        ["workload=stable_difusion", "did you mean stable_diffusion"],
    ),
    "an unknown optimization": (["optimization=[nope]"], ["nope", "flash_attention"]),
    "an unknown study": (["study=paretto"], ["study=paretto", "did you mean pareto"]),
    "an unknown machine": (["machine=h1000"], ["machine=h1000", "a100_80gb"]),
    "an unknown group": (["workloads=parti"], ["workloads", "did you mean workload"]),
    "a word for a number": (["request.height=tall"], ["request.height=tall", "Integer"]),
    "a negative height": (["request.height=-1"], ["request.height=-1", "at least 1"]),
    "a height between latents": (["request.height=100"], ["request.height=100", "multiple of 8"]),
    "a missing pretrained folder": (["weights=pretrained", "weights.path=./nowhere"], ["./nowhere", "no such folder"]),
    "no pretrained folder": (["weights=pretrained"], ["weights.path"]),
    "an unknown device": (["device.name=tpu"], ["device.name=tpu", "cuda"]),
    "an unknown precision": (["device.precision=float8"], ["device.precision=float8", "bfloat16"]),
    "a bare reference": (["reference=baseline_attention"], ["optimization@reference"]),
    "no trials": (["protocol.min_trials=0"], ["protocol.min_trials=0"]),
    "a broken override": (["request.height="], ["request.height"]),
}


@pytest.mark.parametrize(("arguments", "mentions"), WRONG.values(), ids=WRONG)
def test_wrong_input_is_one_sentence_and_exit_2(arguments: list[str], mentions: list[str], tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "run.py"), "device=cpu", f"output_dir={tmp_path}/out", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if not line.startswith("running ")]
    assert done.returncode == 2, done.stderr
    assert len(said) == 1, done.stderr
    assert said[0].startswith("genscope: ")
    for word in mentions:
        assert word in said[0]
    assert not list(tmp_path.rglob("record.json"))
