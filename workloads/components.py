"""One description of a diffusers pipeline, and what builds it with random weights.

A description holds what ``model_index.json`` and every component's ``config.json`` hold: by the component's name, either
``{class: "diffusers.UNet2DConditionModel", config: {...}}``, or a plain value that the pipeline's constructor takes (null
for a component that is left out). A workload's YAML spells one out; `read_description` reads one from a folder.
"""

from __future__ import annotations

import importlib
import inspect
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from suite.errors import ConfigError
from suite.workload import Placement, Weights
from workloads.random_weights import redraw_zero_weights, seeded_construction
from workloads.tokenizer import byte_tokenizer

Description = Mapping[str, Any]

FOLDER = "_folder"
"""In a component's config: the folder it was read from, which may hold a vocabulary."""
LEFT_OUT = ("safety_checker", "watermarker", "motion_adapter")
"""Components that are left out with random weights where the pipeline can do without: they draw nothing of the output."""
DEFAULT_MAX_TOKENS = 512

# diffusers warns of modules to be kept in float32 even where there are none: at every change of precision.
logging.getLogger("diffusers.models.modeling_utils").addFilter(lambda told: "float32: []" not in told.getMessage())


def build_pipeline(pipeline_class: type, description: Description, placement: Placement, seed: int) -> Any:
    """The pipeline with seeded random weights, built in its final data type on its device (``meta``: shapes alone).

    Raises:
        ConfigError: a class that does not exist, or a configuration that it does not take.
    """
    given = {name: value for name, value in description.items() if name in parameters_of(pipeline_class)}
    components = {name: value for name, value in given.items() if not is_component(value)}
    models = {name: value for name, value in given.items() if is_component(value) and is_model(value)}
    with seeded_construction(placement, seed):
        for name, value in models.items():
            components[name] = _model(name, value)
            redraw_zero_weights(components[name])
    # Schedulers and processors keep small tables on the CPU, as from_pretrained leaves them.
    for name, value in given.items():
        if is_component(value) and name not in models:
            components[name] = _part_without_weights(name, value, description)
    absent = {
        name: None for name, default in parameters_of(pipeline_class).items() if default is inspect.Parameter.empty
    }
    return pipeline_class(**{**absent, **components})


def read_description(folder: Path) -> tuple[type, dict[str, Any]]:
    """Class and description of the pipeline in a folder, from its configuration files alone.

    Raises:
        ConfigError: the folder holds no pipeline of diffusers.
    """
    try:
        index = json.loads((folder / "model_index.json").read_text())
        pipeline_class = find_class(f"diffusers.{index['_class_name']}")
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(f"workload.pipeline={folder}: is no folder of a diffusers pipeline: {reason}") from None
    optional = pipeline_class._optional_components
    description: dict[str, Any] = {}
    for name, value in index.items():
        if name.startswith("_"):
            continue
        if not isinstance(value, list):
            description[name] = value
        elif value[0] is None or (name in LEFT_OUT and name in optional):
            description[name] = None
        else:
            description[name] = {"class": _class_path(*value), "config": _config(folder / name)}
    return pipeline_class, description


def load_pretrained(pipeline_class: type, weights: Weights, placement: Placement, **components: Any) -> Any:
    """The pipeline in the user's folder or hub id, with its own components and tokenizer.

    Raises:
        ConfigError: the folder is no such pipeline.
    """
    local = Path(weights.path or "").expanduser()
    path = str(local) if local.exists() else weights.path
    try:
        pipeline = pipeline_class.from_pretrained(path, torch_dtype=placement.dtype, **components)
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"weights.path={weights.path}: cannot be loaded as a {pipeline_class.__name__}: {reason}"
        ) from None
    return pipeline.to(placement.device)


def require_components(pipeline: Any, description: Description, path: str | None) -> None:
    """Raise `ConfigError` where a model of a loaded pipeline is none of the class that the workload describes."""
    for name, value in description.items():
        if is_component(value) and is_model(value):
            expected = find_class(value["class"])
            if not isinstance(getattr(pipeline, name, None), expected):
                raise ConfigError(f"weights.path={path}: the pipeline's {name} is not a {expected.__name__}")


def is_component(value: Any) -> bool:
    """Whether an entry of a description is a component, rather than a plain value."""
    return isinstance(value, Mapping) and "class" in value


def is_model(component: Mapping[str, Any]) -> bool:
    """Whether a component has weights."""
    return issubclass(find_class(component["class"]), nn.Module)


def find_class(path: str) -> Any:
    """The class that a description names, such as ``diffusers.UNet2DConditionModel``.

    Raises:
        ConfigError: there is none, or it lies outside diffusers and transformers.
    """
    module, _, name = path.rpartition(".")
    if module.split(".")[0] not in ("diffusers", "transformers"):
        raise ConfigError(f"component class {path}: only classes of diffusers and transformers are built")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        raise ConfigError(f"component class {path}: the installed {module} has no such class") from None


def parameters_of(pipeline_class: type) -> dict[str, Any]:
    """What the pipeline's constructor takes, with its defaults."""
    parameters = inspect.signature(pipeline_class.__init__).parameters
    return {name: parameter.default for name, parameter in parameters.items() if name != "self"}


def _model(name: str, component: Mapping[str, Any]) -> nn.Module:
    model_class, config = find_class(component["class"]), _own_keys(component["config"])
    try:
        if hasattr(model_class, "config_class") and model_class.config_class is not None:
            return model_class(model_class.config_class(**config))
        return model_class.from_config(config)
    except (TypeError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(f"component {name}: {model_class.__name__} refuses its configuration: {reason}") from None


def _part_without_weights(name: str, component: Mapping[str, Any], description: Description) -> Any:
    part_class, config = find_class(component["class"]), component["config"]
    if "Tokenizer" in part_class.__name__ or "Processor" in part_class.__name__:
        return _text_or_image_processor(part_class, name, config, description)
    return part_class.from_config(_own_keys(config)) if hasattr(part_class, "from_config") else part_class(**config)


def _text_or_image_processor(part_class: Any, name: str, config: Mapping[str, Any], description: Description) -> Any:
    if "Tokenizer" not in part_class.__name__ and "ImageProcessor" in part_class.__name__:
        return part_class(**_own_keys(config))
    folder = config.get(FOLDER)
    if folder is not None and _has_vocabulary(Path(folder)):
        return part_class.from_pretrained(folder)
    if "Tokenizer" not in part_class.__name__:
        raise ConfigError(f"component {name}: a {part_class.__name__} without its vocabulary has no stand-in")
    return byte_tokenizer(_max_tokens(name, config, description))


def needs_stand_in(description: Description) -> bool:
    """Whether any tokenizer has no vocabulary, so that a stand-in takes its place."""
    tokenizers = [v for v in description.values() if is_component(v) and "Tokenizer" in v["class"]]
    folders = [tokenizer["config"].get(FOLDER) for tokenizer in tokenizers]
    return any(folder is None or not _has_vocabulary(Path(folder)) for folder in folders)


def _max_tokens(name: str, config: Mapping[str, Any], description: Description) -> int:
    """What the tokenizer's own configuration says, else the positions of the encoder with the same suffix."""
    said = config.get("model_max_length")
    if isinstance(said, int) and said < 1_000_000:
        return said
    encoder = description.get(name.replace("tokenizer", "text_encoder"))
    limits = encoder["config"].get("max_position_embeddings") if is_component(encoder) else None
    return min(limits or DEFAULT_MAX_TOKENS, DEFAULT_MAX_TOKENS)


def _has_vocabulary(folder: Path) -> bool:
    names = ("tokenizer.json", "vocab.json", "vocab.txt", "spiece.model", "tokenizer.model")
    return any((folder / name).is_file() for name in names)


def _own_keys(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if not key.startswith("_")}


def _class_path(library: str, name: str) -> str:
    """Where a class of ``model_index.json`` lies; a bare folder of diffusers.pipelines may be named there, too."""
    if library in ("diffusers", "transformers"):
        return f"{library}.{name}"
    if library.startswith(("diffusers.", "transformers.")):
        return f"{library}.{name}"
    return f"diffusers.pipelines.{library}.{name}"


def _config(folder: Path) -> dict[str, Any]:
    """A component's configuration file, whichever kind of component it is."""
    names = ("config.json", "scheduler_config.json", "tokenizer_config.json", "preprocessor_config.json")
    for name in names:
        if (folder / name).is_file():
            return json.loads((folder / name).read_text()) | {FOLDER: str(folder)}
    return {FOLDER: str(folder)}
