"""What a pipeline is called with besides the request: any argument that it takes, and nothing that is said elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from suite import record_folder
from suite.errors import ConfigError
from suite.progress import announce
from tests.workloads import tiny_pipelines
from workloads.pipeline_arguments import check_call_arguments

SHORT_TEXT = "workload.call_arguments.max_sequence_length=16"
FRAMES = ("request.height=16", "request.width=16", "request.num_frames=9", "request.num_inference_steps=2")


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cogvideox")
    tiny_pipelines.cogvideox().save_pretrained(folder)
    return folder


@pytest.mark.parametrize("execution", ["measure", "simulate"])
def test_a_model_that_needs_an_argument_runs_with_it(
    execution: str, pipeline: Path, experiment: Callable, tmp_path: Path
) -> None:
    """16 tokens of text and three latent frames of one patch attend to each other."""
    words = (
        *("workload=diffusers", f"workload.pipeline={pipeline}", *FRAMES, SHORT_TEXT, f"execution={execution}"),
        *("protocol=quick", "probe=[operators,attention]", f"output_dir={tmp_path}"),
    )
    record = announce(experiment(*words), rerun=False)
    assert record.outcome.status == "ok", record.outcome.reason
    assert record.config["workload"]["call_arguments"] == {"max_sequence_length": 16}
    calls = record_folder.load_table(tmp_path / record.name, "attention").to_pylist()
    joint = {(call["query_length"], call["key_length"]) for call in calls if call["stage"] == "denoise_step"}
    assert joint == {(16 + 3, 16 + 3)}


def test_without_it_the_model_refuses(pipeline: Path, experiment: Callable) -> None:
    words = ("workload=diffusers", f"workload.pipeline={pipeline}", *FRAMES)
    with pytest.raises((ValueError, RuntimeError)):
        experiment(*words).make_workload().generate()


def test_the_user_comes_before_the_workloads_own_argument(experiment: Callable, attention_calls: Callable) -> None:
    """Flux at smoke takes 128 tokens of text, over which all of its attention is joint."""

    def lengths(*words: str) -> set[int]:
        return {length for kind, _, length, _ in attention_calls("flux", *words) if kind == "joint"}

    usual, short = lengths(), lengths("workload.call_arguments.max_sequence_length=32")
    assert max(usual) - max(short) == 128 - 32
    assert experiment("workload=flux").make_workload().extra_arguments == {"max_sequence_length": 128}


def test_call_arguments_belong_to_the_identity_and_none_change_nothing(experiment: Callable) -> None:
    key = "workload.call_arguments.max_sequence_length"
    plain, short, other = (experiment("workload=flux", *words) for words in ((), (f"{key}=32",), (f"{key}=33",)))
    assert len({plain.run_id, short.run_id, other.run_id}) == 3
    assert "call_arguments" not in plain.config["workload"]


@pytest.mark.parametrize("spelling", ["{0}=16", "+{0}=16", "++{0}=16"])
def test_every_spelling_of_hydra_reaches_it(spelling: str, compose: Callable) -> None:
    config, _ = compose(spelling.format("workload.call_arguments.max_sequence_length"))
    assert config.workload.call_arguments == {"max_sequence_length": 16}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"colour": 1}, "call_arguments.colour: FluxPipeline takes no such argument; accepted: .*max_sequence_length"),
        ({"height": 64}, "call_arguments.height=64: that is said by request.height"),
        ({"num_inference_steps": 3}, "that is said by request.num_inference_steps"),
        ({"prompt": "a cat"}, "that is said by request.prompt"),
        ({"generator": 1}, "that is said by request.seed"),
        ({"num_images_per_prompt": 2}, "that is said by request.batch_size"),
        ({"output_type": "pil"}, "call_arguments.output_type: genscope sets it itself"),
        ({"callback_on_step_end": 1}, "genscope sets it itself"),
        ({"self": 1}, "takes no such argument"),
        ({"sigmas": [1.0, 0.5]}, "sigmas has 2 entries: request.num_inference_steps=3"),
    ],
)
def test_what_cannot_be_taken_is_one_sentence(
    given: Mapping[str, Any], sentence: str, smoke_workload: Callable
) -> None:
    flux = smoke_workload("flux")
    assert flux.request.num_inference_steps == 3
    with pytest.raises(ConfigError, match=sentence) as caught:
        check_call_arguments(flux.pipeline, given, flux.request)
    assert "\n" not in str(caught.value)


def test_a_pipeline_that_takes_anything_is_not_trusted_with_it(smoke_workload: Callable) -> None:
    class Lenient:
        def __call__(self, prompt: str, eta: float = 0.0, **kwargs: Any) -> None: ...

    request = smoke_workload("flux").request
    check_call_arguments(Lenient(), {"eta": 0.5}, request)
    with pytest.raises(ConfigError, match=r"Lenient takes no such argument; accepted: eta$"):
        check_call_arguments(Lenient(), {"kwargs": 1}, request)


def test_a_model_that_calls_no_pipeline_says_so(experiment: Callable) -> None:
    with pytest.raises(ConfigError, match=r"workload.call_arguments.eta: Parti calls no pipeline of diffusers"):
        experiment("workload=parti", "workload.call_arguments.eta=0.5").make_workload()
    with pytest.raises(ConfigError, match=r"workload.call_arguments=3: set one by name"):
        experiment("workload=flux", "workload.call_arguments=3")


def test_a_tensors_values_are_as_they_were_given(smoke_workload: Callable, experiment: Callable) -> None:
    """The same list of noise levels that the scheduler would make gives the same image."""
    usual = smoke_workload("flux")
    first = usual.generate()
    steps = usual.request.num_inference_steps
    sigmas = [float(value) for value in torch.linspace(1.0, 1 / steps, steps, dtype=torch.float64)]
    told = experiment("workload=flux", f"workload.call_arguments.sigmas={sigmas}").make_workload()
    assert torch.allclose(told.generate(), first, atol=1e-5)
