"""One attention call by itself, for a profiler of kernels to watch: a script of its own that imports torch alone.

python attention_replay.py math 2 8 4096 4096 40 float16
"""

from __future__ import annotations

import sys
from typing import Any

REFUSED = 3
"""Exit status where the attention kernel does not take the call; the reason is the error stream's last line."""


def attend(kernel: str, shape: tuple[int, int, int, int, int], precision: str, device: str) -> Any:
    """``[B, H, N, D]`` of random values, as attention modules lay them out: heads are a view of ``[B, N, H * D]``.

    The first call is for libraries to get ready; only the second is watched.

    Args:
        kernel: a name of ``torch.nn.attention.SDPBackend``.
        shape: batch, heads, query length, key length, head dimension.
        precision: of torch, such as ``float16``.
        device: of torch; nothing is watched but on ``cuda``.

    Raises:
        RuntimeError: the kernel does not take the call.
    """
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.functional import scaled_dot_product_attention

    batch, heads, query_length, key_length, head_dim = shape
    made = torch.Generator(device).manual_seed(0)
    query, key, value = (
        torch.randn(batch, length, heads * head_dim, generator=made, device=device, dtype=getattr(torch, precision))
        .unflatten(-1, (heads, head_dim))
        .transpose(1, 2)
        for length in (query_length, key_length, key_length)
    )
    with torch.inference_mode(), sdpa_kernel(getattr(SDPBackend, kernel)):
        scaled_dot_product_attention(query, key, value)
        if device != "cuda":
            return scaled_dot_product_attention(query, key, value)
        torch.cuda.synchronize()
        torch.cuda.profiler.start()
        output = scaled_dot_product_attention(query, key, value)
        torch.cuda.synchronize()
        torch.cuda.profiler.stop()
        return output


def main(arguments: list[str]) -> int:
    """Attend once as the arguments say, on the GPU where there is one."""
    import torch

    kernel, *lengths, precision = arguments
    batch, heads, query_length, key_length, head_dim = map(int, lengths)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        attend(kernel, (batch, heads, query_length, key_length, head_dim), precision, device)
    except RuntimeError as error:  # out of memory is one, too
        sys.stderr.write(" ".join(str(error).split()) + "\n")
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
