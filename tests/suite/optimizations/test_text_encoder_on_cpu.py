"""Encoders that leave the GPU: they run on the host, or go once the prompt is encoded.

Names for the mirror: suite.optimizations.text_encoder_on_cpu, suite.optimizations.drop_text_encoder.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from optimizations.offloaded import attributes, copied, num_bytes, on_gpu, peaks, simulated

from suite.offload import places_in, planned_host_memory
from suite.optimizations.contract import Handle
from suite.optimizations.drop_text_encoder import DropTextEncoder, _Dropped
from suite.optimizations.text_encoder_on_cpu import TextEncoderOnCpu, put_on, tell_device, text_encoders
from suite.stage import stage, watched_by
from suite.workload import NotApplicableError

STEPS = "request.num_inference_steps=2"
ON_CPU, DROP = TextEncoderOnCpu(), DropTextEncoder()


@pytest.mark.parametrize("name", ["stable_diffusion", "flux", "wan"])
def test_a_gpu_holds_nothing_of_an_encoder_on_the_host(name: str, experiment: Callable) -> None:
    words = (f"workload={name}", STEPS)
    plain, found = simulated(experiment, [], *words), simulated(experiment, [ON_CPU], *words)
    _, workload = on_gpu(experiment, *words)
    encoder = num_bytes(workload.parts["text_encoder"])
    for row in ("denoise_step", "decode"):
        assert peaks(found)[row] == peaks(plain)[row] - encoder
    assert peaks(found)["text_encode"] < peaks(plain)["text_encode"] - encoder, "its activations are on the host, too"
    rows, before = found.operators.to_pylist(), plain.operators.to_pylist()
    theirs = [row for row in rows if (row["module"] or "").startswith("text_encoder")]
    assert {(row["bytes_read"], row["bytes_written"]) for row in theirs} == {(None, None)}, "no bytes of the device"
    for one in ("text_encode", "denoise_step", "decode"):
        assert sum(row["flops"] for row in rows if row["stage"] == one) == sum(
            row["flops"] for row in before if row["stage"] == one
        )


def test_embeddings_cross_the_link(experiment: Callable) -> None:
    """What a real encoder is given and gives, in bytes: Stable Diffusion's is called for the prompt and for the empty one."""
    words = ("workload=stable_diffusion", STEPS)
    workload = experiment(*words, "device.precision=bfloat16").make_workload()
    seen: list[tuple[int, int]] = []

    def sizes(values: object) -> int:
        found = [one for one in torch.utils._pytree.tree_leaves(values) if isinstance(one, torch.Tensor)]
        return sum(size for _, size in {(one.data_ptr(), one.numel() * one.element_size()) for one in found})

    def note(module: object, args: object, kwargs: object, output: object) -> None:
        seen.append((sizes((args, kwargs)), sizes(dict(output))))  # type: ignore[call-overload]

    hook = workload.parts["text_encoder"].register_forward_hook(note, with_kwargs=True)
    workload.generate()
    hook.remove()
    assert len(seen) == 2
    found = copied(simulated(experiment, [ON_CPU], *words))
    assert found == {"Memcpy DtoH": sum(sent for sent, _ in seen), "Memcpy HtoD": sum(back for _, back in seen)}


@pytest.mark.parametrize("name", ["stable_diffusion", "wan", "parti", "make_a_video"])
def test_the_librarys_hook_changes_no_bit_and_leaves_nothing(name: str, experiment: Callable) -> None:
    from suite.optimizations.offloading import park

    workload = experiment(f"workload={name}", *([STEPS] if name in ("stable_diffusion", "wan") else [])).make_workload()
    expected, before = workload.generate(), [attributes(part) for part in workload.parts.values()]
    pipeline, handle = getattr(workload, "pipeline", None), Handle("")
    kind = type(pipeline)
    encoders = text_encoders(workload)
    park(encoders.values(), "cpu", handle)
    put_on(encoders.values())
    handle.on_revert(tell_device(pipeline, "cpu"))
    assert torch.equal(workload.generate(), expected)
    handle.revert()
    assert type(pipeline) is kind
    assert [attributes(part) for part in workload.parts.values()] == before
    assert torch.equal(workload.generate(), expected)


def test_a_pipeline_is_told_its_device(smoke_workload: Callable) -> None:
    """It goes by its first model, which may be the one on the host."""
    pipeline = smoke_workload("wan").pipeline
    undo = tell_device(pipeline, "cuda")
    assert (pipeline.device, pipeline._execution_device) == (torch.device("cuda"), torch.device("cuda"))
    undo()
    assert (pipeline.device, pipeline._execution_device) == (torch.device("cpu"), torch.device("cpu"))
    tell_device(None, "cuda")()


@pytest.mark.parametrize("name", ["stable_diffusion", "flux", "parti"])
@pytest.mark.parametrize("replaying", [True, False])
def test_what_is_dropped_is_gone_from_the_first_step_on(name: str, replaying: bool, experiment: Callable) -> None:
    words = (f"workload={name}", *([STEPS] if name != "parti" else ["request.height=64", "request.width=64"]))
    plain = peaks(simulated(experiment, [], *words))
    found = simulated(experiment, [DROP], *words, replaying=replaying)
    _, workload = on_gpu(experiment, *words)
    encoder = num_bytes(workload.parts["text_encoder"])
    assert peaks(found)["text_encode"] == plain["text_encode"]
    steps = "denoise_step" if name != "parti" else "decode_step"
    later = [row["allocated_bytes"] for row in found.memory.to_pylist() if row["stage"] == steps]
    assert max(later) == plain[steps] - encoder
    assert peaks(found)["decode"] == plain["decode"] - encoder
    assert copied(found) == {}, "nothing is written back"


def test_weights_come_back_after_a_generation(experiment: Callable) -> None:
    workload = experiment("workload=flux", STEPS).make_workload()
    part = workload.parts["text_encoder"]
    held, expected = list(part.parameters()), workload.generate()
    values = [weight.clone() for weight in held]
    dropped, during = _Dropped(places_in(part), keep=True), []
    workload.parts["denoiser"].register_forward_pre_hook(
        lambda module, args: during.extend(weight.is_meta for weight in part.parameters())
    )
    with watched_by([dropped]):
        for _ in range(2):
            with stage("generate"):
                assert torch.equal(workload.generate(), expected)
    assert during
    assert all(during)
    assert all(one is other for one, other in zip(held, part.parameters(), strict=True))
    assert all(torch.equal(one, other) for one, other in zip(held, values, strict=True))


def test_what_is_told_of_it(experiment: Callable, smoke_workload: Callable) -> None:
    _, workload = on_gpu(experiment, "workload=flux")
    encoder = num_bytes(workload.parts["text_encoder"])
    for optimization, waiting in ((ON_CPU, encoder), (DROP, 0)):
        handle = optimization.apply(workload)
        assert workload.offload is not None
        found = planned_host_memory(workload.offload)
        assert (found.weights_bytes, found.pinned_bytes) == (waiting, 0)
        assert f"{encoder:,} bytes" in handle.changes
        handle.revert()
        with pytest.raises(NotApplicableError, match="in host memory already"):
            optimization.apply(smoke_workload("flux"))
        with pytest.raises(NotApplicableError, match="has no text encoder"):
            optimization.apply(on_gpu(experiment, "workload=llama")[1])
