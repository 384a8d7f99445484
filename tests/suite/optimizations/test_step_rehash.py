"""Step Rehash against what it must be: an identity, a hand-written DeepCache, counted calls, and itself in other words.

Names for the mirror: suite.optimizations.step_rehash, suite.optimizations.deepcache, suite.optimizations.rehash.calls,
suite.optimizations.rehash.chain, suite.optimizations.rehash.denoiser, suite.optimizations.rehash.install,
suite.optimizations.rehash.last_layer, suite.optimizations.rehash.schedules, suite.optimizations.rehash.unet.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from optimizations.exactness import allowed_error, assert_exact, error
from optimizations.loops import TEXT, Loop, ddim_step, image_unet, motion_unet, random, video_unet
from torch import Tensor, nn

from suite.errors import ConfigError
from suite.optimizations.deepcache import DeepCache
from suite.optimizations.step_rehash import StepRehash
from suite.simulation.generation import simulate
from suite.stage import stage, watched_by
from suite.subject import Subject
from suite.workload import CALL_VARIANT, NotApplicableError, UnsupportedError, Workload

REUSES = ("rehash", "recursion", "last_layer")
DEFAULTS: dict[str, Any] = {
    "reuse": "rehash", "fraction": 0.5, "num_full_steps": None, "key_steps": None, "similarity_threshold": None,
    "online_threshold": None,
}  # fmt: skip


def rehash(**changes: Any) -> StepRehash:
    return StepRehash(**DEFAULTS | changes)


@contextmanager
def applied(optimization: Any, workload: Workload) -> Iterator[Any]:
    handle = optimization.apply(workload)
    try:
        yield handle
    finally:
        handle.revert()


def count_calls(module: nn.Module) -> list[int]:
    """Grows with each call whose forward really runs."""
    calls: list[int] = []
    module.register_forward_hook(lambda *_: calls.append(1))
    return calls


def on_latents(step: Callable[[Any, Tensor, int], Tensor], denoiser: Any = None, num_steps: int = 5) -> Loop:
    return Loop(denoiser or motion_unet(), step, random(1, 4, 3, 8, 8), num_steps)


def test_it_is_ddim_on_the_list_of_full_steps() -> None:
    """With eta = 0, updates with the same noise chain into one: skipping steps is asking for fewer of them."""
    timesteps = list(range(1000, 0, -40))
    key_steps = [0, 1, 4, 5, 9, 16, 24]
    unet = motion_unet()
    many = on_latents(ddim_step(timesteps), unet, len(timesteps))
    few = on_latents(ddim_step([timesteps[step] for step in key_steps]), unet, len(key_steps))
    plain = many.generate()
    with applied(rehash(key_steps=key_steps), many):
        rehashed = many.generate()
    assert torch.allclose(rehashed, few.generate(), rtol=1e-12, atol=1e-12)
    assert (rehashed - plain).norm() > 1e-3 * plain.norm(), "the many steps differ from the few"


@pytest.mark.parametrize("reuse", REUSES)
def test_13_of_25_steps_are_full_as_published(reuse: str) -> None:
    loop = on_latents(ddim_step(list(range(1000, 0, -40))), num_steps=25)
    unet: Any = loop.parts["denoiser"]
    middle, head = count_calls(unet.mid_block), count_calls(unet.conv_out)
    with applied(rehash(reuse=reuse), loop) as handle:
        loop.generate()
    assert (len(middle), len(head)) == (13, 25)
    assert handle.changes.startswith("13 of 25 steps (0, 2, 4, 6, ")


@pytest.mark.parametrize("layers_per_block", [2, (0, 1)], ids=["three layers", "a single one"])
@pytest.mark.parametrize("optimization", [rehash(reuse="last_layer", key_steps=[0, 2, 4]), DeepCache(2)])
def test_the_last_layer_alone_is_deepcache_by_hand(optimization: Any, layers_per_block: Any) -> None:
    unet = image_unet(layers_per_block)
    loop = Loop(unet, lambda net, x, n: x + net(x, 900 - 100 * n, TEXT).sample, random(1, 4, 8, 8), 5)
    with applied(optimization, loop):
        found = loop.generate()
    kept: list[Tensor] = []
    last = unet.up_blocks[-1]
    last.resnets[-1].register_forward_pre_hook(
        lambda module, args: kept.append(args[0][:, : -unet.conv_in.out_channels])
    )
    sample = loop.start
    with torch.no_grad():
        for number in range(5):
            timestep = 900 - 100 * number
            if number % 2 == 0:
                noise = unet(sample, timestep, TEXT).sample
                features = kept[-1]
            else:
                embedding = unet.time_embedding(unet.time_proj(torch.tensor([timestep])).double())
                hidden = last.resnets[-1](torch.cat([features, unet.conv_in(sample)], dim=1), embedding)
                hidden = last.attentions[-1](hidden, encoder_hidden_states=TEXT).sample
                noise = unet.conv_out(unet.conv_act(unet.conv_norm_out(hidden)))
            sample = sample + noise
    assert torch.allclose(found, sample, rtol=1e-12, atol=1e-12)


def video_step(net: Any, sample: Tensor, number: int) -> Tensor:
    return sample + net(sample, 1.0 - 0.1 * number, TEXT[:, :1], torch.tensor([[6.0, 127.0, 0.02]])).sample


def test_svd_recomputes_the_last_attention_on_the_last_temporal_residual_block() -> None:
    """Neither sees the timestep nor the new latents: the skipped step's prediction is the full one's."""
    unet = video_unet()
    predictions: list[Tensor] = []
    unet.register_forward_hook(lambda module, args, output: predictions.append(output.sample))
    loop = Loop(unet, video_step, random(1, 3, 4, 8, 8), 4)
    attention, resnet = count_calls(unet.up_blocks[-1].attentions[-1]), count_calls(unet.up_blocks[-1].resnets[-1])
    with applied(rehash(key_steps=[0, 2]), loop):
        loop.generate()
    assert (len(attention), len(resnet)) == (4, 2)
    assert torch.equal(predictions[0], predictions[1])
    assert torch.equal(predictions[2], predictions[3])
    assert not torch.equal(predictions[1], predictions[2])


def test_recursion_applies_the_last_attention_to_its_own_output() -> None:
    unet = video_unet()
    gave: list[Tensor] = []
    got: list[Tensor] = []
    last = unet.up_blocks[-1].attentions[-1]
    last.register_forward_hook(lambda module, args, output: gave.append(output[0]))
    last.register_forward_pre_hook(lambda module, args: got.append(args[0]))
    loop = Loop(unet, video_step, random(1, 3, 4, 8, 8), 3)
    with applied(rehash(reuse="recursion", key_steps=[0]), loop):
        loop.generate()
    assert [torch.equal(*pair) for pair in zip(got[1:], gave[:-1], strict=True)] == [True, True]


@pytest.mark.parametrize("reuse", REUSES)
@pytest.mark.parametrize("make", [motion_unet, image_unet])
def test_taken_off_nothing_is_left(make: Callable[[], Any], reuse: str) -> None:
    unet = make()
    latents = random(1, 4, 8, 8) if make is image_unet else random(1, 4, 3, 8, 8)
    loop = Loop(unet, ddim_step([900, 700, 500]), latents, 3)
    before = loop.generate()
    kinds = [type(module) for module in unet.modules()]
    attributes = [set(vars(module)) for module in unet.modules()]
    with applied(rehash(reuse=reuse), loop):
        assert not torch.equal(loop.generate(), before)
    assert torch.equal(loop.generate(), before)
    assert [type(module) for module in unet.modules()] == kinds
    assert [set(vars(module)) for module in unet.modules()] == attributes


def test_nothing_goes_over_from_one_generation_to_the_next() -> None:
    loop = on_latents(ddim_step([900, 700, 500]), num_steps=3)
    with applied(rehash(), loop):
        first = loop.generate()
        loop.start = random(1, 4, 3, 8, 8, seed=7)
        loop.generate()
        loop.start = random(1, 4, 3, 8, 8)
        assert torch.equal(loop.generate(), first)


def test_what_was_kept_is_gone_after_the_last_step() -> None:
    """Decoding, which needs the most memory, comes then."""
    unet = image_unet()
    loop = Loop(unet, lambda net, x, n: x + net(x, 500, TEXT).sample, random(1, 4, 8, 8), 3)
    alive: list[weakref.ref[Tensor]] = []
    unet.up_blocks[-1].register_forward_hook(lambda module, args, output: alive.append(weakref.ref(output)))
    unet.conv_out.register_forward_hook(lambda *_: kept.append(alive[0]() is not None))
    kept: list[bool] = []
    ended: list[bool] = []

    class AfterSteps:
        def enter(self, name: str) -> None:
            pass

        def exit(self, name: str) -> None:
            if name == "denoise_step":
                ended.append(alive[-1]() is not None)

    with watched_by([AfterSteps()]), applied(rehash(key_steps=[0]), loop):
        loop.generate()
    assert kept == [True, True, True]
    assert ended == [True, True, False]


def test_a_call_of_another_shape_is_full() -> None:
    unet = image_unet()
    calls = count_calls(unet.mid_block)

    def step(net: Any, sample: Tensor, number: int) -> Tensor:
        if number == 2:
            sample = torch.cat([sample, sample])
        return sample + net(sample, 500, TEXT.expand(len(sample), -1, -1)).sample

    loop = Loop(unet, step, random(1, 4, 8, 8), 5)
    with applied(rehash(key_steps=[0]), loop):
        loop.generate()
    assert len(calls) == 2, "step 0, and step 2 whose batch is another; steps 1, 3 and 4 reuse"


def test_each_of_two_calls_a_step_reuses_its_own() -> None:
    """Guidance as two calls: the skipped step's two predictions are those of the full step, not mixed up."""
    unet = image_unet()
    predictions: list[Tensor] = []
    unet.register_forward_hook(lambda module, args, output: predictions.append(output.sample))

    def step(net: Any, sample: Tensor, number: int) -> Tensor:
        with_text, without = (net(sample, 500, text).sample for text in (TEXT, torch.zeros_like(TEXT)))
        return sample + with_text - 0.5 * without

    loop = Loop(unet, step, random(1, 4, 8, 8), 3)
    with applied(rehash(key_steps=[0]), loop):
        loop.generate()
    assert [torch.equal(predictions[n], predictions[n + 2]) for n in range(4)] == [True] * 4
    assert not torch.equal(predictions[0], predictions[1])


def test_a_denoiser_that_runs_half_a_batch_after_the_other_reuses_by_half() -> None:
    """Whoever replaces the denoiser's forward may pass through its layers twice in a call."""
    unet = image_unet()
    text = torch.cat([TEXT, -TEXT])
    loop = Loop(unet, lambda net, x, n: x + net(x, 500 - n, text).sample, random(2, 4, 8, 8), 4)
    with applied(rehash(reuse="last_layer", key_steps=[0, 2]), loop):
        whole = loop.generate()
        plain = unet.forward

        def halves(sample: Tensor, timestep: int, text: Tensor) -> Any:
            outputs = [plain(x, timestep, t).sample for x, t in zip(sample.chunk(2), text.chunk(2), strict=True)]
            return type("Output", (), {"sample": torch.cat(outputs)})

        unet.forward = halves
        by_half = loop.generate()
        del unet.forward
    assert torch.allclose(by_half, whole, rtol=1e-12, atol=1e-12)


def test_the_input_decides_online() -> None:
    """A sample that moves by a tenth a step is two tenths away after two steps: every second step is full, and the last."""
    unet = image_unet()
    calls = count_calls(unet.mid_block)

    def step(net: Any, sample: Tensor, number: int) -> Tensor:
        net(sample, 500, TEXT)
        return sample + 0.1 * loop.start

    loop = Loop(unet, step, random(1, 4, 8, 8), 6)
    seen: list[int] = []
    unet.register_forward_pre_hook(lambda *_: seen.append(len(calls)))
    # At 1.0 the threshold 0.15 is passed by 1.2; at 1.2 by 1.4; at 1.4 (0.21 more needed) not by 1.5, but that is the last.
    with applied(rehash(online_threshold=0.15), loop):
        loop.generate()
    full = [
        number
        for number, (before, after) in enumerate(zip(seen, [*seen[1:], len(calls)], strict=True))
        if after > before
    ]
    assert full == [0, 2, 4, 5]


def test_gamma_finds_key_steps_on_the_model_itself() -> None:
    loop = on_latents(ddim_step([900, 800, 700, 600, 500, 400]), num_steps=6)
    counts = []
    for threshold in (-1.0, 0.99, 1.1):
        calls = count_calls(loop.parts["denoiser"].mid_block)  # type: ignore[arg-type]
        optimization = rehash(similarity_threshold=threshold)
        if threshold > 1:
            with pytest.raises(NotApplicableError, match="every one of the 6 steps"):
                optimization.apply(loop)
            continue
        with applied(optimization, loop):
            calls.clear()
            loop.generate()
            counts.append(len(calls))
        with applied(optimization, loop):
            assert len(calls) == counts[-1], "the map is measured once"
    assert counts[0] == 2, "first and last"
    assert counts[0] <= counts[1] <= 6


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8).double()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.linear(x).tanh()


class TinyTransformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Linear(4, 8).double()
        self.blocks = nn.ModuleList(Block() for _ in range(4))
        self.head = nn.Linear(8, 4).double()

    def forward(self, x: Tensor, scale: float) -> Tensor:
        hidden = self.embed(x)
        for block in self.blocks:
            hidden = block(hidden)
        return scale * self.head(hidden)


def by_hand(
    net: TinyTransformer, sample: Tensor, reuse: str, kept: dict[str, Tensor] | None
) -> tuple[Tensor, dict[str, Tensor]]:
    """What a step gives before the head, and what it leaves."""
    first, second, third, last = net.blocks
    one = first(net.embed(sample))
    if kept is None:
        three = third(second(one))
        return last(three), {"change": three - one, "output": last(three)}
    if reuse == "rehash":
        return kept["output"], kept
    output = last(kept["output"]) if reuse == "recursion" else last(one + kept["change"])
    return output, kept | {"output": output}


@pytest.mark.parametrize("reuse", REUSES)
def test_a_transformer_by_hand(reuse: str) -> None:
    net = TinyTransformer()
    loop = Loop(net, lambda net, x, n: x + net(x, 1 / (n + 1)), random(2, 3, 4), 5)
    with applied(rehash(reuse=reuse, key_steps=[0, 3]), loop):
        found = loop.generate()
    sample, kept = loop.start, None
    with torch.no_grad():
        for number in range(5):
            hidden, kept = by_hand(net, sample, reuse, None if number in (0, 3) else kept)
            sample = sample + net.head(hidden) / (number + 1)
    assert torch.allclose(found, sample, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["muse", "phenaki", "make_a_video", "stable_video_diffusion", "sd3"])
def test_workloads_skip_work_and_come_back(name: str, smoke_workload: Callable) -> None:
    workload = smoke_workload(name)
    with stage("generate"):
        before = workload.generate()
    with applied(rehash(), workload) as handle, stage("generate"):
        workload.generate()
    assert "steps (0, " in handle.changes
    assert not hasattr(workload.parts["denoiser"], CALL_VARIANT)
    with stage("generate"):
        assert torch.equal(workload.generate(), before)


@pytest.mark.slow
def test_with_grouped_operators_in_either_order(
    experiment: Callable, smoke_workload: Callable, float64_workload: Callable, tmp_path: Path
) -> None:
    workload = smoke_workload("animatediff")
    run = experiment(
        "workload=animatediff",
        "optimization=[operator_grouping,step_rehash]",
        "optimization.operator_grouping.smallest_slice=1",
    )
    stacks = {
        "out_of_the_box": {},
        "alone": {"step_rehash": run.stack["step_rehash"]},
        "stack": run.stack,
        "reversed": dict(reversed(list(run.stack.items()))),
    }

    def output(workload: Any, arm: str) -> Tensor:
        subject = Subject(workload, {arm: stacks[arm]}, run.protocol, tmp_path)
        with subject.configured(arm):
            subject.generate()
        return subject.last_output

    outputs = {arm: output(workload, arm) for arm in stacks}
    reference = output(float64_workload("animatediff"), "alone")
    for arm in ("stack", "reversed"):
        assert_exact(outputs[arm], outputs["alone"], reference)
    assert error(outputs["out_of_the_box"], reference) > allowed_error(outputs["alone"], reference)


def test_a_simulation_counts_what_a_measured_run_does(experiment: Callable, tmp_path: Path) -> None:
    """FLOPs of every step, the skipped one's and the replayed full one's included."""
    run = experiment("workload=stable_diffusion", "request.num_inference_steps=5", "optimization=step_rehash")
    measured = (
        Subject(run.make_workload(), {"stack": run.stack}, run.protocol, tmp_path).profile().attribution.operators
    )
    imagined = run.make_workload(replace(run.placement, device="meta"))
    with applied(run.stack["step_rehash"], imagined):
        simulated = simulate(imagined).operators
    flops = [
        table.filter(table["flops"].is_valid()).group_by(["stage", "step"]).aggregate([("flops", "sum")]).to_pylist()
        for table in (measured, simulated)
    ]
    found, expected = ({(row["stage"], row["step"]): row["flops_sum"] for row in rows} for rows in flops)
    assert found == expected
    assert found["denoise_step", 1] < 0.05 * found["denoise_step", 0]
    assert found["denoise_step", 2] == found["denoise_step", 0]


def test_what_cannot_be_says_why(smoke_workload: Callable) -> None:
    with pytest.raises(NotApplicableError, match="a token that the step before has drawn"):
        rehash().apply(smoke_workload("parti"))
    with pytest.raises(NotApplicableError, match="takes more than it gives"):
        rehash(reuse="recursion").apply(smoke_workload("make_a_video"))
    with pytest.raises(NotApplicableError, match="is no U-Net"):
        DeepCache(2).apply(smoke_workload("sd3"))
    with pytest.raises(NotApplicableError, match="every one of the 3 steps"):
        rehash(num_full_steps=3).apply(smoke_workload("animatediff"))
    loop = on_latents(ddim_step([900]), num_steps=2)
    with applied(rehash(key_steps=[0]), loop), pytest.raises(UnsupportedError, match="already reuses"):
        DeepCache(2).apply(loop)
    assert type(loop.parts["denoiser"]) is type(motion_unet())
    loop.parts["denoiser"].to("meta")
    for key in ("online_threshold", "similarity_threshold"):
        with pytest.raises(UnsupportedError, match=f"{key} looks at values, which a simulation does not have"):
            rehash(**{key: 0.5}).apply(loop)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"reuse": "everything"}, "reuse=everything: one of rehash, recursion, last_layer"),
        ({"fraction": 0}, "fraction=0: a number above 0 and at most 1"),
        ({"fraction": "half"}, "fraction=half: a number"),
        ({"num_full_steps": 1}, "num_full_steps=1: a whole number of at least 2 .* always full"),
        ({"num_full_steps": 2.5}, "num_full_steps=2.5: a whole number"),
        ({"num_full_steps": True}, "num_full_steps=True: a whole number"),
        ({"key_steps": 3}, "key_steps=3: a list of steps"),
        ({"key_steps": [0, 1.5]}, r"key_steps=\[0, 1.5\]: a list of steps"),
        ({"key_steps": "0,2"}, "key_steps=0,2: a list of steps"),
        ({"similarity_threshold": math.nan}, "similarity_threshold=nan: a number of at least -1"),
        ({"online_threshold": -1}, "online_threshold=-1: a number above 0"),
        ({"num_full_steps": 3, "online_threshold": 0.1}, "num_full_steps and online_threshold are set"),
    ],
)
def test_wrong_values_are_one_sentence(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        rehash(**values)


def test_a_fraction_below_two_steps_means_the_first_and_the_last() -> None:
    loop = on_latents(ddim_step([900, 800, 700]), num_steps=3)
    with applied(rehash(fraction=0.01), loop) as handle:
        assert handle.changes.startswith("2 of 3 steps (0, 2) run in full")


def test_listed_key_steps_must_exist() -> None:
    loop = on_latents(ddim_step([900, 800, 700]), num_steps=3)
    for wrong in ([1, 2], [0, 3], []):
        with pytest.raises(ConfigError, match="step 0 and others below 3"):
            rehash(key_steps=wrong).apply(loop)
