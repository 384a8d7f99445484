"""What optimizations that move weights between host and device share: when there is anything to move, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from suite.offload import Offload, Place, places_in
from suite.optimizations.contract import Handle
from suite.optimizations.hook_traces import traces
from suite.slicing.recipe import own_class
from suite.workload import NotApplicableError, UnsupportedError, Workload

if TYPE_CHECKING:
    from torch import nn

PIPELINE_ATTRIBUTES = ("_all_hooks", "_offload_gpu_id", "_offload_device")
"""What diffusers leaves on a pipeline."""

LIBRARIES = ("diffusers", "transformers")


def require_apart(workload: Workload, name: str) -> None:
    """Raise where weights are in the host's memory anyway, or where somebody moves or compiled them already.

    Raises:
        NotApplicableError, UnsupportedError: why not.
    """
    if workload.placement.device == "cpu":
        raise NotApplicableError("weights are in host memory already (device=cpu)")
    if workload.offload is not None:
        raise UnsupportedError(f"{name}: {workload.offload.name} moves this workload's weights already")
    for model in models_of(workload).values():
        if any(module._compiled_call_impl is not None for module in model.modules()):
            raise UnsupportedError(
                f"{name}: the {type(model).__name__} is compiled already; torch_compile goes after what moves weights"
            )


def models_of(workload: Workload) -> Mapping[str, nn.Module]:
    """The modules that are called, by part: ``denoiser``, or ``text_encoder.prior`` where a part has several."""
    from torch import nn

    found: dict[str, nn.Module] = {}
    for name, part in workload.parts.items():
        members = (
            {f"{name}.{key}": one for key, one in part.items()} if isinstance(part, nn.ModuleDict) else {name: part}
        )
        found |= members
    return found


def require_library_models(models: Iterable[nn.Module]) -> None:
    """Raise where a model is of no library: what brings a module's weights for its call needs that nobody else reads them.

    Raises:
        NotApplicableError: which.
    """
    for model in models:
        kind = own_class(model)
        if kind.__module__.partition(".")[0] not in LIBRARIES:
            raise NotApplicableError(
                f"a {kind.__name__} is no model of {' or '.join(LIBRARIES)}, of which it is known that a module's "
                "weights are read in its own call alone"
            )


def movable(workload: Workload) -> list[nn.Module]:
    """All that a library moves with the parts: a pipeline's models that play no part, too."""
    from torch import nn

    components: Mapping[str, Any] = getattr(getattr(workload, "pipeline", None), "components", {})
    models = [*models_of(workload).values(), *(one for one in components.values() if isinstance(one, nn.Module))]
    return list(dict.fromkeys(models))


@contextmanager
def or_back(handle: Handle) -> Iterator[None]:
    """Revert `handle` if this block fails, so that nothing stays half moved."""
    try:
        yield
    except BaseException:
        handle.revert()
        raise


def described(workload: Workload, offload: Offload, handle: Handle) -> None:
    """Let the workload say what is done about its weights, until `handle` is reverted."""
    workload.offload = offload
    handle.on_revert(lambda: setattr(workload, "offload", None))


def park(models: Iterable[nn.Module], device: str, handle: Handle) -> None:
    """Move weights to the host. Once `handle` is reverted they are on `device` again, in the objects that held them, and hooks
    that were put on meanwhile are gone without trace."""
    for model in models:
        model.to("cpu")
        handle.on_revert(partial(model.to, device))
        handle.on_revert(put_back(places_in(model)))
        handle.on_revert(traces(model))


def restore_attributes(target: Any, names: Iterable[str], handle: Handle) -> None:
    """Let attributes of `target` be as they are now when `handle` is reverted."""
    before = {name: vars(target)[name] for name in names if name in vars(target)}

    def restore() -> None:
        for name in names:
            vars(target).pop(name, None)
        vars(target).update(before)

    handle.on_revert(restore)


def put_back(places: Iterable[Place]) -> Callable[[], None]:
    """What puts the tensors that are in these places now there again."""
    held = [(place, place.tensor) for place in places]

    def restore() -> None:
        for place, tensor in held:
            place.put(tensor)

    return restore
