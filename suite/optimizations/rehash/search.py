"""Which steps run in full and which reuse what an earlier one computed. Pure arithmetic: no model, no torch.

The first step has nothing to reuse and the last one is always full (Zhan et al. 2024, appendix B), so that a schedule has two
full steps at least. A list of key steps that a user writes down may end earlier.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import ceil

from suite.errors import ConfigError

FEWEST_FULL_STEPS = 2
"""The first and the last."""


def uniform_key_steps(num_steps: int, num_full_steps: int) -> list[int]:
    """`num_full_steps` (at least `FEWEST_FULL_STEPS`) of `num_steps` steps as evenly as they go, first and last among them.

    13 of 25 are 0, 2, 4, ..., 24, as published (Zhan et al. 2024, section 5.1). More than there are means all.
    """
    if num_full_steps >= num_steps:
        return list(range(num_steps))
    return [round(index * (num_steps - 1) / (num_full_steps - 1)) for index in range(num_full_steps)]


def num_full_steps_of(num_steps: int, fraction: float) -> int:
    """A fraction of the steps, as it is written in decimals, rounded up: half of 25 is 13, and 0.28 of 25 is 7."""
    return ceil(num_steps * Fraction(str(fraction)))


def search_key_steps(similarity: Sequence[Sequence[float]], threshold: float) -> list[int]:
    """Algorithm 1 of Zhan et al. 2024 (appendix B): a step as similar as `threshold` to the last key step is skipped.

    Args:
        similarity: of the reused features between step i and step j, ``[num_steps][num_steps]``, symmetric.
        threshold: the paper's gamma; the larger, the more key steps.

    Returns:
        key steps in order, each once; the first and the last step always.
    """
    num_steps = len(similarity)
    key_steps = [0]
    for step in range(num_steps):
        # Where the algorithm looks at the same step again after making it a key step: similar to itself by definition.
        if step != key_steps[-1] and similarity[step][key_steps[-1]] < threshold:
            key_steps.append(step)
    return key_steps if key_steps[-1] == num_steps - 1 else [*key_steps, num_steps - 1]


def checked_key_steps(key_steps: Sequence[int], num_steps: int) -> list[int]:
    """Key steps as the user lists them.

    Raises:
        ConfigError: the first step is not among them, or one does not exist.
    """
    chosen = sorted(set(key_steps))
    if not chosen or chosen[0] != 0 or chosen[-1] >= num_steps:
        raise ConfigError(f"key_steps={list(key_steps)}: step 0 and others below {num_steps} are needed")
    return chosen
