"""What can go wrong for a user, and how it is said: one sentence with the key, the value and what would be accepted."""

from __future__ import annotations

import sys


class GenscopeError(Exception):
    """Something the user can mend or must know. The message is one sentence."""

    exit_code = 1


class ConfigError(GenscopeError, ValueError):
    """A wrong value given by the user: the key, the value, what would be accepted."""

    exit_code = 2


class RunFailedError(GenscopeError):
    """A run ended as ``failed``; its record is saved and says why."""


class UnavailableError(Exception):
    """Something that a device could tell and does not tell here. The message is one clause that says why."""


_kept: list[GenscopeError] = []


def keep_for_exit(error: GenscopeError) -> None:
    """Say it on the error stream now, and let it decide the exit status when everything is over."""
    sys.stderr.write(f"genscope: {error}\n")
    _kept.append(error)


def worst_exit_code() -> int:
    """0 where nothing was kept."""
    return max((error.exit_code for error in _kept), default=0)
