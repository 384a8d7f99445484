"""genscope's entry: compose, build, execute, save."""

import os
import sys

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from suite.complaints import explain
from suite.errors import GenscopeError, report
from suite.schema import Config

ConfigStore.instance().store("config_schema", Config)
ended_badly: list[GenscopeError] = []


@hydra.main(version_base="1.3", config_path="pkg://conf", config_name="config")
def run(config: DictConfig) -> None:
    from suite.build import build
    from suite.progress import announce

    try:
        hydra_config = HydraConfig.get()
        experiment = build(config, hydra_config.runtime.choices, hydra_config.overrides.task)
        announce(experiment, rerun=config.rerun)
    except GenscopeError as error:
        if "BasicLauncher" not in HydraConfig.get().launcher._target_:
            raise  # the job runs elsewhere, and an exception is all that comes back from there
        report(error)  # the other runs of a sweep go on
        ended_badly.append(error)


def main() -> None:
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands its exceptions on, so that they can be said in one sentence
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # the allocator's remarks on being profiled are no news
    try:
        run()
    except (HydraException, OmegaConfBaseException) as error:
        ended_badly.append(report(explain(error)))
    except GenscopeError as error:
        ended_badly.append(report(error))
    sys.exit(max((error.exit_code for error in ended_badly), default=0))


if __name__ == "__main__":
    main()
