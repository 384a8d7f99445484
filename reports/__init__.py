"""Reports: records in, pictures and tables out. Imports neither torch, diffusers, transformers nor Hydra."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reports.runs import Runs

__all__ = ["load"]


def load(*folders: str | os.PathLike[str]) -> Runs:
    """Read every run at or below `folders` into tidy pandas frames; see `reports.runs.Runs`."""
    from reports.loading import load as load_runs  # pandas costs half a second, which `--help` need not pay

    return load_runs(*folders)
