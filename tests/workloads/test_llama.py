"""LLaMA: the cache changes no token, lengths are what was asked, and the paper's size is a closed form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from conftest import ROOT

from suite.errors import ConfigError

SMOKE = "workload.scales.smoke.dimensions"


def test_the_same_tokens_as_a_whole_forward_for_each(experiment: Callable) -> None:
    workload = experiment("workload=llama", f"{SMOKE}.temperature=0", "request.batch_size=2").make_workload()
    generated_BN = workload.generate()
    assert generated_BN.shape == (2, 32)
    tokens = torch.tensor([workload.prompt_ids] * 2)
    with torch.inference_mode():
        for _ in range(8):
            logits = workload.parts["denoiser"](input_ids=tokens, use_cache=False).logits
            tokens = torch.cat([tokens, logits[:, -1].argmax(-1, keepdim=True)], dim=1)
    assert tokens[:, 128:].equal(generated_BN[:, :8])


def test_attention_sees_the_prompt_at_once_and_then_one_query_and_a_key_more(attention_calls: Callable) -> None:
    calls = attention_calls("llama")
    layers = 6
    expected = [(128, 128)] * layers + [(1, 128 + step) for step in range(1, 32) for _ in range(layers)]
    assert [(query, key) for _, _, query, key in calls] == expected
    assert {kind for kind, *_ in calls} == {"causal"}


@pytest.mark.parametrize("words", ["x", "a long prompt " * 40])
def test_the_prompt_is_as_long_as_was_asked(experiment: Callable, words: str) -> None:
    workload = experiment("workload=llama", f"request.prompt={words!r}").make_workload()
    assert len(workload.prompt_ids) == 128
    assert workload.prompt_ids[0] == workload.tokenizer.bos_token_id
    assert workload.tokenizer.decode(workload.prompt_ids[1:]) == (words * 128)[:127]


def test_the_papers_size_is_the_closed_form(meta_workload: Callable, num_parameters: Callable) -> None:
    scales = yaml.safe_load((ROOT / "conf" / "workload" / "llama.yaml").read_text())["scales"]
    model = scales["paper"]["dimensions"]["language_model"]
    width, mlp, layers = model["hidden_size"], model["intermediate_size"], model["num_hidden_layers"]
    a_layer = 4 * width**2 + 3 * width * mlp + 2 * width
    expected = 2 * model["vocab_size"] * width + layers * a_layer + width
    assert num_parameters(meta_workload("llama").parts["denoiser"]) == expected == 6_738_415_616


def test_text_is_saved_as_text(smoke_workload: Callable, tmp_path: Path) -> None:
    workload = smoke_workload("llama")
    (path,) = workload.save(torch.tensor([workload.tokenizer("an answer")["input_ids"][1:-1]]), tmp_path)
    assert path.read_text() == f"{workload.request.prompt}\nan answer\n"


def test_a_pretrained_folder_brings_its_own_model_and_tokenizer(experiment: Callable, tmp_path: Path) -> None:
    source = experiment("workload=llama", "weights.seed=5").make_workload()
    source.parts["denoiser"].save_pretrained(tmp_path)
    source.tokenizer.save_pretrained(tmp_path)
    loaded = experiment("workload=llama", "weights=pretrained", f"weights.path={tmp_path}").make_workload()
    assert loaded.notes == ()
    assert loaded.generate().equal(source.generate())


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("request.height=64", r"request\.height=64: llama knows no height"),
        ("request.prompt=''", "at least one token"),
        (f"{SMOKE}.new_tokens=200", "at most the model's 256 positions"),
    ],
)
def test_wrong_requests_are_one_sentence(experiment: Callable, override: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        experiment("workload=llama", override).make_workload()


def test_a_folder_that_is_no_model_is_one_sentence(experiment: Callable, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be loaded as a language model") as caught:
        experiment("workload=llama", "weights=pretrained", f"weights.path={tmp_path}").make_workload()
    assert "\n" not in str(caught.value)
