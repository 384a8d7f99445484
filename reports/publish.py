"""Writing a report so that it exists whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

MARK = "index.html"


class OutputError(ValueError):
    """The report cannot be written there. The message is one sentence."""


def check_target(folder: Path) -> None:
    """Refuse what must not be overwritten, before any work is done.

    Raises:
        OutputError: a file stands there, or a folder with something in it that is not a report.
    """
    if folder.is_dir():
        if any(folder.iterdir()) and not (folder / MARK).is_file():
            raise OutputError(f"{folder} holds something that is not a report: name a new folder, or empty this one.")
    elif folder.exists() or folder.is_symlink():
        raise OutputError(f"{folder} is not a folder: name one, for the report to be written to.")


def publish(files: Mapping[str, bytes], folder: Path) -> None:
    """Write `files` (by path relative to `folder`) beside `folder` and put them in its place in one rename.

    A report that was there is moved aside first and deleted last, so a kill leaves the old one or the new one.

    Raises:
        OutputError: the file system refuses.
    """
    folder = folder.resolve()
    partial = folder.parent / f".{folder.name}.partial-{os.getpid()}"
    aside = folder.parent / f".{folder.name}.replaced-{os.getpid()}"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        for name, content in files.items():
            path = partial / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        if folder.exists():
            folder.rename(aside)
        partial.rename(folder)
    except OSError as error:
        raise OutputError(f"The report cannot be written to {folder}: {error.strerror or error}.") from None
    finally:
        if aside.exists() and not folder.exists():
            aside.rename(folder)
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(aside, ignore_errors=True)
