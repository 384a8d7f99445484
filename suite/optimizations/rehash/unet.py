"""What a step of a diffusers U-Net reuses: features of the last up block, where skips have been concatenated already.

    conv_in  down_blocks  mid_block  up_blocks  last up block: resnet attention temporal x 3   head (norm, act, conv_out)
                                                                          |        |     |
                                        last_layer: from here on, with conv_in     |     |
                                        rehash: after the temporal layer; for SVD that is in the resnet

The U-Net's own forward runs in a reused step, too; what it calls and need not be computed is answered from outside.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from torch import nn

from suite.optimizations.rehash.calls import Call, answer_calls, empty_batch, joined
from suite.optimizations.rehash.denoiser import ReusingDenoiser
from suite.optimizations.rehash.last_layer import Held, PassedOn, last_layer, operators
from suite.workload import NotApplicableError

ENTRIES = ("conv_in", "transformer_in")
"""What turns the noisy input into features, which the last layer gets as its skip."""
PIECES = ("conv_in", "down_blocks", "mid_block", "up_blocks", "conv_out")
FEATURES, OUTPUT = "features", "output"


def is_unet(module: Any) -> bool:
    """Whether a module has the pieces of a U-Net of diffusers."""
    return all(hasattr(module, name) for name in PIECES)


def cut_unet(unet: Any, reuse: str, denoiser: ReusingDenoiser, undo: ExitStack) -> str:
    """Make reused calls of a U-Net run its last part only; says which features they reuse.

    Raises:
        NotApplicableError: recursion, and the last operator does not take what it gives.
    """
    last = unet.up_blocks[-1]
    trunk = [*unet.down_blocks, *([] if unet.mid_block is None else [unet.mid_block]), *unet.up_blocks[:-1]]
    entries = [] if reuse == "last_layer" else [getattr(unet, name) for name in ENTRIES if hasattr(unet, name)]
    for module in (*entries, *trunk):
        bypass(module, denoiser, undo)
    if reuse == "last_layer":
        return _reuse_before_last_layer(last, denoiser, undo)
    if reuse == "recursion":
        return _repeat_last_operator(last, denoiser, undo)
    if _temporal_in_resnets(unet):
        return _reuse_last_resnet(last, denoiser, undo)
    return _reuse_output(last, denoiser, undo)


def reuse_point(unet: Any, reuse: str) -> nn.Module:
    """The module whose output a reused step takes over."""
    last = unet.up_blocks[-1]
    found = operators(last)[-1][1]
    if reuse == "last_layer":
        return found[-2] if len(found) > 1 else [unet.mid_block, *unet.up_blocks][-2]
    return last.resnets[-1] if reuse == "rehash" and _temporal_in_resnets(unet) else found[-1]


def _temporal_in_resnets(unet: Any) -> bool:
    """Whether the paper's temporal layers are those in residual blocks, as in Stable Video Diffusion."""
    return type(unet).__name__ == "UNetSpatioTemporalConditionModel"


def bypass(module: nn.Module, denoiser: ReusingDenoiser, undo: ExitStack) -> None:
    """Do not run `module` in a reused call; what it gives then has the right shape but for a batch of none."""

    def around(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        kept = denoiser.pass_through(module)
        if denoiser.reusing:
            return kept[id(module)]
        output = call(*args, **kwargs)
        kept[id(module)] = empty_batch(output)
        return output

    undo.callback(answer_calls(module, around))


def _reuse_output(last: nn.Module, denoiser: ReusingDenoiser, undo: ExitStack) -> str:
    """The whole last up block: its temporal layer (in an image model, its last layer) is the last operator there."""

    def around(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        kept = denoiser.pass_through(last)
        if not denoiser.reusing:
            kept[OUTPUT] = call(*args, **kwargs)
        return kept[OUTPUT]

    undo.callback(answer_calls(last, around))
    return f"the output of up_blocks[-1].{operators(last)[-1][0]}[-1]"


def _reuse_last_resnet(last: Any, denoiser: ReusingDenoiser, undo: ExitStack) -> str:
    """The last temporal residual block's output; the attention after it runs."""
    _keep_features(last.resnets[-1], denoiser, undo)
    held = Held(lambda: joined(denoiser.kept[FEATURES]))
    tail = last_layer(last, resnets=held)

    def around(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        denoiser.pass_through(last)
        if not denoiser.reusing:
            return call(*args, **kwargs)
        skip = kwargs["res_hidden_states_tuple"][:1]
        return tail(*args, **kwargs | {"res_hidden_states_tuple": skip})

    undo.callback(answer_calls(last, around))
    return "the output of up_blocks[-1].resnets[-1]"


def _repeat_last_operator(last: Any, denoiser: ReusingDenoiser, undo: ExitStack) -> str:
    """The last operator runs on what it gave in the step before, whether that step was full or reused."""
    *others, (name, _) = operators(last)
    if not others:
        raise NotApplicableError(
            "recursion: the U-Net's last operator is a residual block, which takes more than it gives"
        )
    stands: dict[str, nn.Module] = {other: PassedOn() for other, _ in others}
    stands["resnets"] = Held(lambda: denoiser.kept[OUTPUT])
    tail = last_layer(last, **stands)

    def around(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        kept = denoiser.pass_through(last)
        if denoiser.reusing:
            skip = kwargs["res_hidden_states_tuple"][:1]
            kept[OUTPUT] = tail(*args, **kwargs | {"res_hidden_states_tuple": skip})
        else:
            kept[OUTPUT] = call(*args, **kwargs)
        return kept[OUTPUT]

    undo.callback(answer_calls(last, around))
    return f"up_blocks[-1].{name}[-1] on its own last output"


def _reuse_before_last_layer(last: Any, denoiser: ReusingDenoiser, undo: ExitStack) -> str:
    """DeepCache's shallowest branch: the entry and the last layer run, on features kept from the layer before."""
    single = len(last.resnets) == 1
    if not single:
        _keep_features(operators(last)[-1][1][-2], denoiser, undo)
    tail = last_layer(last)

    def around(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        kept = denoiser.pass_through(last)
        if not denoiser.reusing:
            if single:
                kept[FEATURES] = [kwargs["hidden_states"]]
            return call(*args, **kwargs)
        skip = kwargs["res_hidden_states_tuple"][:1]
        features = joined(kept[FEATURES])
        return tail(*args, **kwargs | {"hidden_states": features, "res_hidden_states_tuple": skip})

    undo.callback(answer_calls(last, around))
    return "the input of the last layer of up_blocks[-1]"


def _keep_features(module: nn.Module, denoiser: ReusingDenoiser, undo: ExitStack) -> None:
    """Keep what `module` gives in a full call, in one call or in several over slices of the batch."""

    def around(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        output = call(*args, **kwargs)
        if not denoiser.reusing:
            denoiser.kept.setdefault(FEATURES, []).append(output)
        return output

    undo.callback(answer_calls(module, around))
