from __future__ import annotations

from pathlib import Path

from attribution.handmade import HandmadeTrace

from suite.attribution.counting import count_flops
from suite.attribution.events import arrange


def counted(made: HandmadeTrace) -> tuple[list[int], list[bool]]:
    flops, unknown = count_flops(arrange(made.read()))
    return flops.tolist(), unknown.tolist()


def test_a_chain_of_convolutions_counts_once_at_the_outside(tmp_path: Path) -> None:
    settings = {"Concrete Inputs": ["", "", "", "[1, 1]", "[1, 1]", "[1, 1]", "False", "[0, 0]", "1"]}
    dims = [[1, 3, 8, 8], [4, 3, 3, 3], [4], [], [], [], [], [], []]
    made = HandmadeTrace(tmp_path).operator("aten::conv2d", 0, 10, *dims)
    made.operator("aten::convolution", 1, 9, *dims, **settings).operator("aten::_convolution", 2, 8, *dims, **settings)
    made.operator("aten::mkldnn_convolution", 3, 7, *dims).operator("aten::empty", 4, 5)
    flops, unknown = counted(made)
    assert flops == [0, 2 * 64 * 4 * 3 * 9, 0, 0, 0]
    assert not any(unknown)


def test_spelled_out_attention_counts_its_products(tmp_path: Path) -> None:
    query = [1, 2, 4, 8]
    made = HandmadeTrace(tmp_path).operator("aten::scaled_dot_product_attention", 0, 20, query, query, query)
    made.operator("aten::_scaled_dot_product_attention_math", 1, 19, query, query, query)
    made.operator("aten::bmm", 2, 5, [2, 4, 8], [2, 8, 4]).operator("aten::_softmax", 6, 7, [2, 4, 4])
    made.operator("aten::bmm", 8, 9, [2, 4, 4], [2, 4, 8])
    flops, unknown = counted(made)
    assert flops == [0, 0, 2 * 2 * 4 * 8 * 4, 0, 2 * 2 * 4 * 4 * 8]
    assert unknown == [False, False, False, True, False]


def test_our_marks_and_python_are_no_operators(tmp_path: Path) -> None:
    made = HandmadeTrace(tmp_path).stage("generate", 0, 10).frame("f", 1, 9).annotation("x", 2, 8)
    assert counted(made) == ([0, 0, 0], [False, False, False])
