"""From words as they are typed after ``python run.py`` to an experiment, in a process that runs several or none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hydra import compose, initialize_config_module
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from suite.complaints import explain
from suite.schema import Config

if TYPE_CHECKING:
    from suite.experiment import Experiment


def register_schema() -> None:
    """Make the typed configuration known to Hydra; conf/config.yaml begins with it."""
    ConfigStore.instance().store("config_schema", Config)


def composed(words: Sequence[str]) -> DictConfig:
    """The whole configuration, Hydra's own part included.

    Raises:
        ConfigError: Hydra's complaint, as a sentence.
    """
    register_schema()
    try:
        with initialize_config_module("conf", version_base="1.3"):
            return compose("config", list(words), return_hydra_config=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error) from None


def chosen(words: Sequence[str]) -> tuple[DictConfig, dict[str, Any]]:
    """The configuration that a run is built from, and Hydra's choice for each group.

    Raises:
        ConfigError: Hydra's complaint, as a sentence.
    """
    config = composed(words)
    choices = dict(config.hydra.runtime.choices)
    OmegaConf.set_struct(config, False)
    config.pop("hydra")
    return config, choices


def experiment_of(words: Sequence[str]) -> Experiment:
    """What the words describe.

    Raises:
        ConfigError: a wrong key, option or value.
    """
    from suite.build import build

    return build(*chosen(words), words)


def words_by_key(words: Sequence[str]) -> dict[str, Override]:
    """What was typed as Hydra reads it, later words for earlier ones; behind it the sweep of the study for keys not typed.

    Raises:
        ConfigError: Hydra's complaint, as a sentence.
    """
    parser = OverridesParser.create()
    try:
        typed = {one.get_key_element(): one for one in parser.parse_overrides(list(words))}
    except HydraException as error:
        raise explain(error) from None
    params = composed([word for word in words if word.startswith("study=")]).hydra.sweeper.params or {}
    own = {one.get_key_element(): one for one in parser.parse_overrides([f"{k}={v}" for k, v in params.items()])}
    return typed | {key: one for key, one in own.items() if key not in typed}
