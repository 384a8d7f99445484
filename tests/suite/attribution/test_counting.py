from __future__ import annotations

from pathlib import Path

from attribution.handmade import HandmadeTrace

from suite.attribution.counting import count_flops
from suite.attribution.events import arrange


def counted(made: HandmadeTrace) -> tuple[list[int], list[bool]]:
    found = count_flops(arrange(made.read()))
    return found.matrix.tolist(), found.unknown.tolist()


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


def test_what_vector_units_do_counts_once_at_the_operator_that_works(tmp_path: Path) -> None:
    made = HandmadeTrace(tmp_path)
    norm = {"Concrete Inputs": ["", "", "", "2", "6", "25", "3", "1e-05"]}
    made.operator("aten::group_norm", 0, 9, [2, 6, 5, 5], [], [6], [6], [], [])
    made.operator("aten::native_group_norm", 1, 8, [2, 6, 5, 5], [6], [6], [], [], [], [], [], **norm)
    mean = {"Concrete Inputs": ["", "[1]", "False", ""]}
    made.operator("aten::mean", 10, 19, [4, 5], [], [], [], **mean)
    made.operator("aten::sum", 11, 14, [4, 5], [], [], [], **mean).operator("aten::div_", 15, 18, [4], [])
    made.operator("aten::linear", 20, 29, [2, 3], [4, 3], [4])
    made.operator("aten::addmm", 21, 28, [4], [2, 3], [3, 4]).operator("aten::add_", 22, 23, [2, 4], [4])
    made.operator("aten::normal_", 30, 31, [4], **{"Concrete Inputs": ["", "0.", "1.", ""]})
    found = count_flops(arrange(made.read()))
    assert found.vector.tolist() == [0, 5 * 300 + 2 * 6 + 2 * 300, 20, 0, 0, 0, 0, 0, 0]
    assert found.matrix.tolist() == [0, 0, 0, 0, 0, 0, 48, 0, 0]
    assert found.unknown.tolist() == [False] * 8 + [True]


def test_fused_attention_counts_its_products_and_its_softmax(tmp_path: Path) -> None:
    query, key = [1, 2, 4, 8], [1, 2, 6, 8]
    made = HandmadeTrace(tmp_path).operator("aten::scaled_dot_product_attention", 0, 20, query, key, key)
    made.operator("aten::_scaled_dot_product_flash_attention_for_cpu", 1, 19, query, key, key)
    made.operator("aten::mul", 2, 3, query, [])
    found = count_flops(arrange(made.read()))
    assert found.matrix.tolist() == [0, 4 * 2 * 4 * 6 * 8, 0]
    assert found.vector.tolist() == [0, 2 * 4 * (6 + 5 * 6 - 2), 0]
