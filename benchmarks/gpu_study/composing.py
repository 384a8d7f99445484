"""From what is typed after ``python run.py`` to an experiment, inside a process that runs several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from suite.experiment import Experiment

ROOT = Path(__file__).resolve().parent.parent.parent


def composed(overrides: Sequence[str]) -> Any:
    """The whole configuration, Hydra's own part included.

    Raises:
        ConfigError: Hydra's complaint, as a sentence.
    """
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    import run  # noqa: F401 - registers the schema
    from suite.complaints import explain

    try:
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            return compose("config", list(overrides), return_hydra_config=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error) from None


def experiment_of(overrides: Sequence[str]) -> Experiment:
    """What these overrides describe.

    Raises:
        ConfigError: a wrong key, option or value.
    """
    from omegaconf import OmegaConf

    from suite.build import build

    config = composed(overrides)
    choices = dict(config.hydra.runtime.choices)
    OmegaConf.set_struct(config, False)
    config.pop("hydra")
    return build(config, choices, overrides)
