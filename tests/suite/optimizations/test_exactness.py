"""What the other tests call exact: other kernels' rounding passes, the smallest of mistakes does not.

Name for the mirror: suite.slicing.recipe, whose recipes are held to it.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from optimizations.exactness import FLOAT64_BOUND, allowed_error, assert_exact, error, normal
from torch import Tensor
from torch.nn.functional import conv2d, pad, unfold

HALF, SINGLE, DOUBLE = torch.bfloat16, torch.float32, torch.float64


def whole(image: Tensor, weight: Tensor) -> Tensor:
    return conv2d(image, weight, padding=1)


def by_rows(image: Tensor, weight: Tensor, halo: int = 1) -> Tensor:
    """Two halves of the rows; each is computed with `halo` of the other's, zeros where there is none."""
    middle = image.shape[2] // 2
    upper = pad(image[:, :, : middle + halo], (1, 1, 1, 1 - halo))
    lower = pad(image[:, :, middle - halo :], (1, 1, 1 - halo, 1))
    return torch.cat([conv2d(half, weight) for half in (upper, lower)], dim=2)


def by_matrix_product(image: Tensor, weight: Tensor) -> Tensor:
    return (weight.flatten(1) @ unfold(image, 3, padding=1)).unflatten(-1, image.shape[2:])


def one_by_one(image: Tensor, weight: Tensor) -> Tensor:
    """The slowest of kernels rounds after every product."""
    columns = unfold(image, 3, padding=1)
    total = torch.zeros(1, len(weight), columns.shape[-1], dtype=image.dtype)
    for n, column in enumerate(columns.unbind(1)):
        total += weight.flatten(1)[:, n, None] * column[:, None]
    return total.unflatten(-1, image.shape[2:])


def without_halo(image: Tensor, weight: Tensor) -> Tensor:
    return by_rows(image, weight, halo=0)


def one_row_on(image: Tensor, weight: Tensor) -> Tensor:
    return whole(image, weight).roll(1, dims=2)


def a_thousandth_more(image: Tensor, weight: Tensor) -> Tensor:
    return whole(image, weight) * 1.001


def nowhere(image: Tensor, weight: Tensor) -> Tensor:
    return whole(image, weight) * torch.nan


def check(run: Callable[[Tensor, Tensor], Tensor], dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    image, weight = normal(1, 32, 12, 10, dtype=dtype), normal(8, 32, 3, 3, dtype=dtype)
    assert_exact(run(image, weight), whole(image, weight), whole(image.double(), weight.double()))


@pytest.mark.parametrize("dtype", [HALF, SINGLE, DOUBLE])
@pytest.mark.parametrize("run", [whole, by_rows, by_matrix_product])
def test_the_rounding_of_other_kernels_passes(run: Callable, dtype: torch.dtype) -> None:
    check(run, dtype)


@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE])
def test_so_does_that_of_the_slowest_kernel(dtype: torch.dtype) -> None:
    check(one_by_one, dtype)


@pytest.mark.parametrize(
    ("run", "dtype"),
    [(run, dtype) for run in (without_halo, one_row_on, nowhere) for dtype in (HALF, SINGLE, DOUBLE)]
    + [(a_thousandth_more, dtype) for dtype in (SINGLE, DOUBLE)],
)
def test_a_mistake_does_not(run: Callable, dtype: torch.dtype) -> None:
    with pytest.raises(AssertionError):
        check(run, dtype)


def test_of_float64_single_precision_inside_is_a_mistake() -> None:
    with pytest.raises(AssertionError):
        check(lambda image, weight: whole(image.float(), weight.float()).double(), DOUBLE)


def test_another_type_is_a_mistake() -> None:
    with pytest.raises(AssertionError):
        check(lambda image, weight: whole(image.double(), weight.double()), SINGLE)


@pytest.mark.parametrize("dtype", [HALF, SINGLE])
def test_an_output_that_is_the_reference_leaves_some_epsilons(dtype: torch.dtype) -> None:
    eps = torch.finfo(dtype).eps
    one = torch.ones(3, dtype=dtype)
    assert_exact(one + eps, one, one.double())
    with pytest.raises(AssertionError):
        assert_exact(one + 8 * eps, one, one.double())


def test_the_bound_of_float64_is_absolute() -> None:
    reference = torch.ones(3, dtype=torch.float64)
    assert error(reference * 2, reference) == 1
    assert allowed_error(reference * 2, reference) == FLOAT64_BOUND
