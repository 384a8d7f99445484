"""From a composed configuration to an experiment. Wall 1: the last place that knows Hydra.

Only targets inside this project are instantiated, each with exactly the arguments that its YAML lists.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from suite.errors import ConfigError
from suite.experiment import DeviceSettings, Execution, Experiment
from suite.machine import Machine
from suite.protocol import MeasurementProtocol
from suite.record import SCHEMA_VERSION
from suite.workload import PRECISIONS, Placement, Request, Weights, Workload

OUR_PACKAGES = ("suite.", "workloads.")
DEVICES = ("auto", "cpu", "cuda")
NOT_IDENTITY = ("output_dir", "rerun", "study", "exhibits", "save_output", "save_trace", "smallest_slice")
"""Keys that say where results go or who asked for them, not what was measured, and a default that arguments hold resolved."""


def build(config: DictConfig, choices: Mapping[str, str], overrides: Sequence[str] = ()) -> Experiment:
    """The experiment that a composed configuration describes. Imports no workload and, on a CPU, no torch.

    Args:
        config: composed and complete.
        choices: Hydra's choice for each config group; names of workload and execution come from there.
        overrides: what was typed, so that a report can show how to repeat the run.

    Raises:
        ConfigError: a value that cannot be used.
    """
    values: dict[str, Any] = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)  # type: ignore
    _require_stacks(values)
    name, scale = choices["workload"], values["scale"]["name"]
    chosen = _chosen_scale(values, name, scale)
    request = Request(**_with_defaults(values["request"], chosen["request"]))
    weights = Weights(**values["weights"])
    machine = None if values["machine"] is None else instantiate(values["machine"])
    execution = instantiate(values["execution"])
    placement = _placement(values["device"], execution, machine, choices.get("machine") == "this")
    identity = _identity(values, choices, chosen, request, placement) | _machine_identity(machine)
    run_id = _run_id(identity)
    target = values["workload"]["_target_"]
    make_workload = _workload_maker(target, chosen["dimensions"], _call_arguments(values), request, weights, placement)
    return Experiment(
        run_id=run_id,
        name=_folder_name(name, scale, values["optimization"], run_id),
        output_dir=Path(values["output_dir"]),
        config=identity,
        command=shlex.join(overrides),
        workload_name=name,
        scale=scale,
        weights_source=weights.source,
        request=request,
        placement=placement,
        device_settings=_select(DeviceSettings, values["device"]),
        protocol=MeasurementProtocol(**values["protocol"]),
        make_workload=make_workload,
        stack=_instantiate_all(values["optimization"]),
        out_of_the_box=_out_of_the_box(name, scale, identity) if values["optimization"] else None,
        reference=_instantiate_all(values["reference"]),
        probes=_instantiate_all(values["probe"]),
        execution=execution,
        machine=machine,
        save_output=values["save_output"],
        save_trace=values["save_trace"],
    )


def instantiate(node: Mapping[str, Any]) -> Any:
    """The component that a YAML node describes: its ``_target_``, called with the node's other keys, components among them."""
    arguments = {key: _instantiated(value) for key, value in node.items() if key != "_target_"}
    return find_target(node["_target_"])(**arguments)


def _instantiated(value: Any) -> Any:
    return instantiate(value) if isinstance(value, dict) and "_target_" in value else value


def find_target(path: str) -> Callable[..., Any]:
    """The class that a ``_target_`` names.

    Raises:
        ConfigError: it lies outside this project, or does not exist.
    """
    if not path.startswith(OUR_PACKAGES):
        raise ConfigError(f"_target_={path}: only classes inside {' and '.join(OUR_PACKAGES)} are instantiated")
    module_name, _, class_name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module_name), class_name)
    except (ModuleNotFoundError, AttributeError) as error:
        if isinstance(error, ModuleNotFoundError) and not path.startswith(str(error.name)):
            raise  # a dependency of ours is missing: that is not the user's typing error
        raise ConfigError(f"_target_={path}: there is no such class") from None


def _instantiate_all(nodes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: instantiate(node) for name, node in nodes.items()}


def _require_stacks(values: Mapping[str, Any]) -> None:
    """Groups that take several options are mappings; a bare word means that a plain value was set over the group."""
    spelling = {
        "reference": "optimization@reference=[...]",
        "optimization": "optimization=[...]",
        "probe": "probe=[...]",
    }
    for key, example in spelling.items():
        if not isinstance(values[key], dict):
            raise ConfigError(f"{key}={values[key]}: this group is chosen with {example}")


def _chosen_scale(values: Mapping[str, Any], workload: str, scale: str) -> Mapping[str, Any]:
    scales = values["workload"]["scales"]
    if scale not in scales:
        raise ConfigError(f"scale={scale}: {workload} comes at {', '.join(scales)}")
    return scales[scale]


def _call_arguments(values: Mapping[str, Any]) -> Mapping[str, Any]:
    found = values["workload"].get("call_arguments") or {}
    if not isinstance(found, dict):
        raise ConfigError(f"workload.call_arguments={found}: set one by name, workload.call_arguments.NAME=VALUE")
    return found


def _with_defaults(asked: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """What the user asked for, with the workload's own figure wherever nothing was."""
    return {key: defaults.get(key) if value is None else value for key, value in asked.items()}


def _placement(
    device: Mapping[str, Any], execution: Execution, machine: Machine | None, is_this_machine: bool
) -> Placement:
    """Where a run takes place. ``auto`` is a GPU where there is one; a simulation is of a GPU unless it is of this machine."""
    name, precision = device["name"], device["precision"]
    if name not in DEVICES:
        raise ConfigError(f"device.name={name}: one of {', '.join(DEVICES)} is accepted")
    if precision is not None and precision not in PRECISIONS:
        raise ConfigError(f"device.precision={precision}: one of {', '.join(PRECISIONS)} is accepted")
    if name == "auto":
        name = "cuda" if (execution.needs_no_device and not is_this_machine) or _has_gpu() else "cpu"
    simulated = machine if name == "cuda" and execution.needs_no_device else None  # a measured run has what it runs on
    return Placement(
        device=name,
        precision=precision or _usual_precision(name, machine),
        compute_capability=simulated and simulated.compute_capability,
    )


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _usual_precision(device: str, machine: Machine | None) -> str:
    """bfloat16 on a GPU, float16 on one that is known to lack it."""
    if device == "cpu":
        return "float32"
    lacks_it = machine is not None and machine.peak_flops_per_s.get("bfloat16") is None
    return "float16" if lacks_it else "bfloat16"


def _select(kind: type, values: Mapping[str, Any]) -> Any:
    return kind(**{name: values[name] for name in inspect.signature(kind).parameters})


def _identity(
    values: Mapping[str, Any],
    choices: Mapping[str, str],
    chosen: Mapping[str, Any],
    request: Request,
    placement: Placement,
) -> dict[str, Any]:
    """What makes two runs the same: everything that could change a number, resolved, and nothing else."""
    identity = {key: value for key, value in values.items() if key not in (*NOT_IDENTITY, "machine")}
    called = _call_arguments(values)
    identity["workload"] = {
        "name": choices["workload"],
        "_target_": values["workload"]["_target_"],
        "dimensions": chosen["dimensions"],
        **({"call_arguments": called} if called else {}),  # none keeps the identity of runs that know no such thing
    }
    identity["execution"] = {"name": choices["execution"], **values["execution"]}
    identity["request"] = {name: getattr(request, name) for name in request.__slots__}
    identity["device"] = values["device"] | {"name": placement.device, "precision": placement.precision}
    # A stack is applied in order, but JSON objects have none: the order is part of the identity.
    identity["order"] = {key: list(values[key]) for key in ("optimization", "reference")}
    return identity | {"schema_version": SCHEMA_VERSION}


def _machine_identity(machine: Machine | None) -> dict[str, Any]:
    """Nothing without a machine, so that runs which know none keep their identity."""
    return {} if machine is None else {"machine": machine.identity()}


def _run_id(identity: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def _out_of_the_box(workload: str, scale: str, identity: Mapping[str, Any]) -> str:
    """Folder of the run that has no optimizations and is else the same."""
    order = identity["order"] | {"optimization": []}
    return _folder_name(workload, scale, {}, _run_id({**identity, "optimization": {}, "order": order}))


def _folder_name(workload: str, scale: str, stack: Mapping[str, Any], run_id: str) -> str:
    label = "+".join(stack) or "out_of_the_box"
    return re.sub(r"[^\w+.-]", "_", f"{workload}-{scale}-{label}"[:120]) + f"-{run_id[:8]}"


def _workload_maker(
    target: str,
    dimensions: Mapping[str, Any],
    call_arguments: Mapping[str, Any],
    request: Request,
    weights: Weights,
    placement: Placement,
) -> Callable[..., Workload]:
    def make(elsewhere: Placement | None = None) -> Workload:
        build_it, given = find_target(target), {"call_arguments": call_arguments} if call_arguments else {}
        if given and "call_arguments" not in inspect.signature(build_it).parameters:
            names = ", ".join(f"workload.call_arguments.{name}" for name in call_arguments)
            raise ConfigError(f"{names}: {target.rpartition('.')[2]} calls no pipeline of diffusers that could take it")
        return build_it(**dimensions, **given, request=request, weights=weights, placement=elsewhere or placement)

    return make
