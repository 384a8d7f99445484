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


def report(error: GenscopeError) -> GenscopeError:
    """Say it on the error stream, and hand it back."""
    sys.stderr.write(f"genscope: {error}\n")
    return error
