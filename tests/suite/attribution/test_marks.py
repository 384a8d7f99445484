from __future__ import annotations

import pytest

from suite.attribution.marks import Mark, attention_mark, module_mark, parse, stage_mark


def test_what_is_made_is_parsed_back() -> None:
    assert parse(stage_mark("decode")) == Mark(stage="decode")
    assert parse(module_mark("denoiser.mid_block")) == Mark(module="denoiser.mid_block")
    assert parse(attention_mark("temporal", "denoiser.a/b")) == Mark(module="denoiser.a/b", attention_kind="temporal")


@pytest.mark.parametrize("name", ["aten::mm", "genscope", "genscope/attention/spatial", "genscope/other/x", ""])
def test_other_names_are_no_marks(name: str) -> None:
    assert parse(name) is None
