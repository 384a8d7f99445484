"""Colours that can be told apart, in colour and in grey."""

from __future__ import annotations

from itertools import pairwise

import pytest

from reports.palette import CLASS_COLOURS, KIND_COLOURS, ink_on, luminance, stack_colours
from suite.attribution.taxonomy import ATTENTION_KINDS, OPERATOR_CLASSES


def test_every_class_and_kind_has_a_colour() -> None:
    assert set(OPERATOR_CLASSES) - {"attention"} <= set(CLASS_COLOURS)
    assert set(ATTENTION_KINDS) <= set(KIND_COLOURS)


def test_neighbours_in_a_stack_differ_in_grey() -> None:
    lightness = [luminance(colour) ** (1 / 3) for colour in CLASS_COLOURS.values()]
    assert min(abs(a - b) for a, b in pairwise(lightness)) > 0.05


@pytest.mark.parametrize("colour", CLASS_COLOURS.values())
def test_labels_contrast_with_their_ground(colour: str) -> None:
    pair = sorted([luminance(colour), luminance(ink_on(colour))])
    assert (pair[1] + 0.05) / (pair[0] + 0.05) > 4.5


def test_stacks_keep_their_order_and_the_baseline_is_grey() -> None:
    colours = stack_colours(["a", "base", "b"], "base")
    assert list(colours) == ["a", "base", "b"]
    assert len(set(colours.values())) == 3
