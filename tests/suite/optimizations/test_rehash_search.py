"""Key steps: Algorithm 1 and its properties, even spacing, and the similarity that the search stands on.

Names for the mirror: suite.optimizations.rehash.search, suite.optimizations.rehash.similarity.
"""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from optimizations.loops import Loop, random
from torch import nn

from suite.errors import ConfigError
from suite.optimizations.rehash.schedules import relative_change
from suite.optimizations.rehash.search import (
    FEWEST_FULL_STEPS,
    checked_key_steps,
    num_full_steps_of,
    search_key_steps,
    uniform_key_steps,
)
from suite.optimizations.rehash.similarity import (
    SKETCH_SIZE,
    FeatureSketches,
    cosine_similarity,
    reuse_similarity,
    sketch,
)


def falling(num_steps: int, slope: float = 0.02) -> list[list[float]]:
    return [[1 - slope * abs(i - j) for j in range(num_steps)] for i in range(num_steps)]


maps = st.integers(1, 12).flatmap(
    lambda n: st.lists(st.lists(st.floats(0, 1), min_size=n, max_size=n), min_size=n, max_size=n)
)


def test_similarity_that_falls_with_distance_makes_every_second_step_a_key() -> None:
    """25 steps and a gamma that only the next step passes: the published 13."""
    assert search_key_steps(falling(25), 0.975) == list(range(0, 25, 2))


def test_the_published_pattern_puts_key_steps_late() -> None:
    """Steps 0 to 13 all alike, later ones like none: as figure 5 shows Stable Video Diffusion."""
    similarity = [[1.0 if i == j or max(i, j) < 14 else 0.9 for j in range(25)] for i in range(25)]
    assert search_key_steps(similarity, 0.97) == [0, *range(14, 25)]


@given(maps, st.floats(0, 1.2))
def test_first_and_last_are_keys_and_each_once(similarity: list[list[float]], gamma: float) -> None:
    found = search_key_steps(similarity, gamma)
    assert found[0] == 0
    assert found[-1] == len(similarity) - 1
    assert found == sorted(set(found))


@given(maps, st.floats(0, 1.2))
def test_a_skipped_step_is_as_similar_as_asked_to_the_key_before_it(
    similarity: list[list[float]], gamma: float
) -> None:
    keys = search_key_steps(similarity, gamma)
    for step in set(range(len(similarity))) - set(keys):
        before = max(key for key in keys if key < step)
        assert similarity[step][before] >= gamma


@given(st.lists(st.floats(0.001, 0.2), min_size=1, max_size=20), st.floats(0, 1), st.floats(0, 1))
def test_more_similarity_asked_means_no_fewer_keys(drops: list[float], one: float, other: float) -> None:
    """Where similarity falls with distance, at whatever pace; for arbitrary maps a greedy search promises nothing."""
    place = [sum(drops[:index]) for index in range(len(drops) + 1)]
    similarity = [[1 - abs(here - there) for there in place] for here in place]
    low, high = sorted((one, other))
    assert len(search_key_steps(similarity, low)) <= len(search_key_steps(similarity, high))


@pytest.mark.parametrize("num_steps", range(1, 61))
def test_what_is_asked_is_what_is_done_first_and_last_among_it(num_steps: int) -> None:
    for num_full in range(FEWEST_FULL_STEPS, 62):
        found = uniform_key_steps(num_steps, num_full)
        assert len(found) == min(num_steps, num_full) == len(set(found))
        assert (found[0], found[-1]) == (0, num_steps - 1)
        gaps = [after - before for before, after in itertools.pairwise(found)]
        assert max(gaps, default=0) - min(gaps, default=0) <= 1


@pytest.mark.parametrize("percent", range(1, 101))
def test_a_fraction_is_rounded_up_from_what_is_written(percent: int) -> None:
    """Whole numbers have no rounding: 0.28 of 25 is 7, where binary fractions make a little more than 7 of it."""
    for num_steps in range(1, 101):
        assert num_full_steps_of(num_steps, percent / 100) == -(-percent * num_steps // 100)


def test_half_of_25_is_13() -> None:
    assert num_full_steps_of(25, 0.5) == 13
    assert uniform_key_steps(25, 13) == list(range(0, 25, 2))


def test_listed_steps_are_sorted_and_checked() -> None:
    assert checked_key_steps([4, 0, 4, 2], 5) == [0, 2, 4]
    with pytest.raises(ConfigError, match="step 0"):
        checked_key_steps([1], 5)


def test_sketches_keep_cosines() -> None:
    """Within four standard deviations of (1 - s^2) / sqrt(size), for features of a quarter of a million numbers."""
    base = random(1, 4, 256, 256)
    for weight in (0.0, 0.1, 0.3, 1.0, 3.0):
        other = base + weight * random(1, 4, 256, 256, seed=1)
        exact = torch.cosine_similarity(base.flatten(), other.flatten(), dim=0).item()
        found = cosine_similarity(torch.stack([sketch(base), sketch(other)]))
        assert abs(found[0, 1].item() - exact) <= 4 * (1 - exact**2) / SKETCH_SIZE**0.5 + 1e-6
        assert torch.allclose(found.diagonal(), torch.ones(2, dtype=torch.float64))


def test_small_features_are_exact() -> None:
    one, other = random(5, 7), random(5, 7, seed=1)
    exact = torch.cosine_similarity(one.flatten(), other.flatten(), dim=0).item()
    assert cosine_similarity(torch.stack([sketch(one), sketch(other)]))[0, 1].item() == pytest.approx(exact, abs=1e-6)


class TwoBlocks(nn.Module):
    """The second block turns what it gets by a right angle in odd steps."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Identity(), nn.Identity()])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.blocks[1](self.blocks[0](x))


def turning(net: nn.Module, sample: torch.Tensor, number: int) -> torch.Tensor:
    angle = torch.tensor(number * torch.pi / 6, dtype=torch.float64)
    net(torch.stack([angle.cos(), angle.sin()])[None])
    return sample


def test_a_known_rotation_has_known_similarities() -> None:
    """Features that turn by 30 degrees a step: cosines of multiples of 30 degrees, and the keys that follow."""
    loop = Loop(TwoBlocks(), turning, random(1, 2), 5)
    similarity = torch.tensor(reuse_similarity(loop, "rehash"))
    steps = torch.arange(5)
    assert torch.allclose(similarity, torch.cos((steps[:, None] - steps) * torch.pi / 6).float(), atol=1e-6)
    assert search_key_steps(similarity.tolist(), 0.8) == [0, 2, 4]


def test_a_module_that_does_not_run_in_every_step_has_no_similarity() -> None:
    from contextlib import ExitStack

    net = TwoBlocks()
    loop = Loop(net, lambda net, x, n: net(x) if n else x, random(1, 2), 3)
    sketches = FeatureSketches({"first": net.blocks[0]})
    with ExitStack() as undo:
        sketches.install(undo)
        loop.generate()
    assert sketches.similarities() == {}


def test_relative_change_of_latents_and_of_tokens() -> None:
    assert relative_change(torch.tensor([2.0, 2.0]), torch.tensor([1.0, 3.0])) == pytest.approx(0.5)
    assert relative_change(torch.tensor([1, 2, 3, 4]), torch.tensor([1, 2, 0, 0])) == 0.5
