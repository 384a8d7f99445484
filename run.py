"""genscope's entry: compose, build, execute, save."""

import os
import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from suite.complaints import exit_status
from suite.composition import register_schema
from suite.errors import GenscopeError, RunFailedError, keep_for_exit
from suite.sweep import Ended, keep_for_table, tell_sweep

register_schema()


@hydra.main(version_base="1.3", config_path="pkg://conf", config_name="config")
def run(config: DictConfig) -> None:
    from suite.build import build
    from suite.progress import announce

    job = HydraConfig.get()
    try:
        announce(build(config, job.runtime.choices, job.overrides.task), rerun=config.rerun)
    except GenscopeError as error:
        if "BasicLauncher" not in job.launcher._target_:
            raise  # the job runs elsewhere, and an exception is all that comes back from there
        keep_for_exit(error)  # the other runs of a sweep go on
        if not isinstance(error, RunFailedError):
            keep_for_table(Ended(job.overrides.task, "refused", str(error)))


def main() -> None:
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands its exceptions on, so that they can be said in one sentence
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # the allocator's remarks on being profiled are no news
    status = exit_status(run)
    tell_sweep()
    sys.exit(status)


if __name__ == "__main__":
    main()
