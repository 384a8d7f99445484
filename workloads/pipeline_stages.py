"""Stage marks around a diffusers pipeline's own calls, put on from outside; its code runs unchanged.

- ``text_encode``: whatever turns the condition into embeddings, text or image (`ENCODING_METHODS`, ``vae.encode``, or the
  encoders' own calls where a pipeline has none of these methods).
- ``denoise_step``: one turn of the loop that the pipeline shows a progress bar for, from one end-of-step callback to the next;
  without callbacks from one update of the bar, or one item of it, to the next; without a bar, one call of the denoiser.
- ``decode``: ``decode_latents`` or ``vae.decode``.

A call inside a stage that is open already belongs to that stage.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import wraps
from typing import Any

from torch import nn

from suite.stage import DENOISER_FORWARD, StepMarks, mark_calls, stage

ENCODING_METHODS = (
    "encode_prompt",
    "_encode_prompt",
    "encode_image",
    "_encode_image",
    "_encode_vae_image",
    "encode_vae_image",
)
DECODING_METHODS = ("decode_latents",)


class PipelineStages:
    """Marks the stages of `pipeline`, whose modules `parts` holds under their component names by part.

    Args:
        encoding_methods: those that encode the condition; none for a pipeline that is given what is encoded already.
    """

    def __init__(
        self,
        pipeline: Any,
        parts: Mapping[str, Mapping[str, nn.Module]],
        encoding_methods: Sequence[str] = ENCODING_METHODS,
    ) -> None:
        self.pipeline = pipeline
        self.steps: StepMarks | None = None
        self._open = False
        encoders = [name for name in encoding_methods if hasattr(pipeline, name)]
        for name in encoders:
            setattr(pipeline, name, self._staged("text_encode", getattr(pipeline, name)))
        for name in DECODING_METHODS:
            if hasattr(pipeline, name):
                setattr(pipeline, name, self._staged("decode", getattr(pipeline, name)))
        if not encoders:
            for encoder in parts.get("text_encoder", {}).values():
                mark_calls(encoder, "text_encode")
        for vae in parts.get("decoder", {}).values():
            for method, name in (("encode", "text_encode"), ("decode", "decode")):
                if hasattr(vae, method):
                    setattr(vae, method, self._staged(name, getattr(vae, method)))
        for denoiser in parts["denoiser"].values():
            mark_calls(denoiser, DENOISER_FORWARD)
            if not shows_progress(pipeline):
                mark_calls(denoiser, "denoise_step")
        pipeline.progress_bar = self._bar
        self.calls_back = "callback_on_step_end" in inspect.signature(type(pipeline).__call__).parameters

    def end_of_step(self, pipeline: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        """For ``callback_on_step_end``."""
        if self.steps is not None:
            self.steps.next()
        return tensors

    def _staged(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def marked(*args: Any, **kwargs: Any) -> Any:
            if self._open or self.steps is not None:
                return call(*args, **kwargs)
            self._open = True
            try:
                with stage(name):
                    return call(*args, **kwargs)
            finally:
                self._open = False

        return marked

    def _bar(self, iterable: Iterable[Any] | None = None, total: int | None = None, **shown: Any) -> _Loop:
        del shown
        if self._open or self.steps is not None:
            return _Loop(None, iterable, 0)
        timesteps = getattr(getattr(self.pipeline, "scheduler", None), "timesteps", None)
        num_timesteps = len(timesteps) if timesteps is not None else total or 0
        return _Loop(self, iterable, num_timesteps if self.calls_back or total is None else total)


class _Loop:
    """Stands in for the pipeline's progress bar, which a measured run does not draw."""

    def __init__(self, stages: PipelineStages | None, iterable: Iterable[Any] | None, num_steps: int) -> None:
        self._stages = stages
        self._iterable = iterable
        self._num_steps = num_steps

    def __enter__(self) -> _Loop:
        if self._stages is not None:
            self._stages.steps = StepMarks("denoise_step", self._num_steps)
            self._stages.steps.begin()
        return self

    def __exit__(self, *raised: object) -> None:
        if self._stages is not None and self._stages.steps is not None:
            self._stages.steps.end()
            self._stages.steps = None

    def __iter__(self) -> Iterator[Any]:
        """The loop body runs while this waits at ``yield``; a callback at its end must not end the step twice."""
        for item in () if self._iterable is None else self._iterable:
            if self._stages is None:
                yield item
                continue
            self._num_steps = 1
            with self:
                yield item

    def update(self, amount: int = 1) -> None:
        del amount
        if self._stages is not None and self._stages.steps is not None and not self._stages.calls_back:
            self._stages.steps.next()

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: None


def shows_progress(pipeline: Any) -> bool:
    """Whether the pipeline's own code runs its loop under a progress bar."""
    try:
        source = inspect.getsource(sys.modules[type(pipeline).__module__])
    except (OSError, KeyError):
        return False
    return "self.progress_bar(" in source
