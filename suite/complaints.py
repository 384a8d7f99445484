"""Hydra's complaints about a configuration, as one sentence each."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from importlib import resources

from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

from suite.errors import ConfigError, GenscopeError, keep_for_exit, worst_exit_code

REPLACED = {
    "device.allow_tf32": "device.allow_tf32_matmul (matrix products) and device.allow_tf32_cudnn (convolutions)",
}
"""Keys of old, and what is written instead."""


def exit_status(command: Callable[[], object]) -> int:
    """Run the command; what goes wrong is said in one sentence and becomes the exit status."""
    try:
        command()
    except (HydraException, OmegaConfBaseException) as error:
        keep_for_exit(explain(error))
    except GenscopeError as error:
        keep_for_exit(error)
    return worst_exit_code()


def explain(error: HydraException | OmegaConfBaseException) -> ConfigError:
    """The same complaint, for the person who typed the command."""
    return ConfigError(_sentence(error))


def _sentence(error: HydraException | OmegaConfBaseException) -> str:
    if isinstance(error, MissingConfigException):
        return _unknown_option(error)
    for cause in _causes(error):
        if isinstance(cause, MissingMandatoryValue):
            return f"{cause.full_key} is not set: a value is needed, {cause.full_key}=..."
        if isinstance(cause, (ConfigKeyError, ConfigAttributeError)):
            return _unknown_key(cause)
    sentence = _first_line(error)
    for cause in _causes(error):
        if isinstance(cause, OmegaConfBaseException) and cause is not error:
            return f"{sentence.removeprefix('Error merging override ')}: {_first_line(cause)}"
    return sentence


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _unknown_option(error: MissingConfigException) -> str:
    group, _, option = (error.missing_cfg_file or "").rpartition("/")
    if not group:
        return _first_line(error)
    # For a group that takes several options Hydra names none of them.
    folder = resources.files("conf") / group.partition("@")[0]
    known = [entry.name.removesuffix(".yaml") for entry in folder.iterdir()] if folder.is_dir() else []
    options = list(error.options or sorted(known))
    return f"{group}={option}: there is no such option; accepted: {', '.join(options)}{_suggestion(option, options)}"


def _unknown_key(error: OmegaConfBaseException) -> str:
    key = str(error.full_key or error.key)
    if key in REPLACED:
        return f"{key}: there is no such key any more; {REPLACED[key]} are set one by one"
    parent = error.parent_node
    accepted = [str(name) for name in parent] if isinstance(parent, DictConfig) and OmegaConf.is_config(parent) else []
    known = f"; accepted: {', '.join(accepted)}" if accepted else ""
    where = key.rpartition(".")[0]
    suggestion = _suggestion(str(error.key), accepted)
    return f"{key}: there is no such key{f' in {where}' if where else ''}{known}{suggestion}"


def _suggestion(word: str, accepted: list[str]) -> str:
    close = difflib.get_close_matches(re.sub(r"\W", "", word), accepted, n=1)
    return f" (did you mean {close[0]}?)" if close else ""
