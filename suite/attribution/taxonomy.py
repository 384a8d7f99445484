"""The taxonomy: which class of operator a name belongs to, for torch operators and, where none is known, for kernels.

Decisions where a name could go two ways are in docs/decisions/attribution.md. In short: reductions, comparisons, random
numbers and fills count as ``elementwise``; softmax outside attention as ``normalization``; whatever only changes where
values lie, or allocates, as ``data_movement``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from suite.attribution.vocabulary import NAMES, NO_ARITHMETIC

OPERATOR_CLASSES = (
    "convolution",
    "linear",
    "attention",
    "normalization",
    "elementwise",
    "data_movement",
    "embedding",
    "quantization",
    "communication",
    "other",
)
ATTENTION_KINDS = ("spatial", "temporal", "cross", "joint", "causal")
ATTENTION_PARTS = ("core", "projection")

SOFTMAX = "aten::_softmax"

HOST_TO_DEVICE, DEVICE_TO_HOST = "Memcpy HtoD", "Memcpy DtoH"
"""What a simulation calls copies of weights over the link between host and device, as CUDA's profiler does."""
HOST_TO_DEVICE_OVERLAPPED = "Memcpy HtoD (own stream)"
"""The first on a stream of its own, while kernels run on another."""
HOST_LINK = frozenset({HOST_TO_DEVICE, DEVICE_TO_HOST, HOST_TO_DEVICE_OVERLAPPED})
"""Rows of an operator table that move their bytes over that link, not through the device's memory alone."""

ATTENTION_KERNELS: Mapping[str, str] = {
    "aten::_scaled_dot_product_flash_attention": "flash",
    "aten::_scaled_dot_product_flash_attention_for_cpu": "flash",
    "aten::_flash_attention_forward": "flash",
    "flash_attn::_flash_attn_forward": "flash",
    "aten::_scaled_dot_product_efficient_attention": "efficient",
    "aten::_efficient_attention_forward": "efficient",
    "aten::_scaled_dot_product_cudnn_attention": "cudnn",
    "aten::_cudnn_attention_forward": "cudnn",
    "aten::_scaled_dot_product_fused_attention_overrideable": "overrideable",
    "aten::_scaled_dot_product_attention_math": "math",
    "aten::_scaled_dot_product_attention_math_for_mps": "math",
}
"""Which attention kernel an operator below ``aten::scaled_dot_product_attention`` stands for."""
EAGER = "eager"
"""The kernel of attention that is written out: products and a softmax."""
CALLED = "attention_kernel"
"""Attribute of a function that takes the place of torch's scaled_dot_product_attention: what its kernel is called."""

_BY_NAME = {name: operator_class for operator_class, names in NAMES.items() for name in names.split()}

_OPERATOR_PATTERNS = (
    (
        re.compile(r"scaled_dot_product|flash_attn|flex_attention|memory_efficient_attention|sage.?attn|attention"),
        "attention",
    ),
    (re.compile(r"^(c10d|c10d_functional|_c10d_functional|nccl|record_param_comms|gloo|mpi)(:|$|_)"), "communication"),
    (re.compile(r"^torchao::.*(mm|linear)|quantized::.*linear|^mkldnn::.*linear|^onednn::q?linear"), "linear"),
    (
        re.compile(r"(cudnn|mkldnn|miopen|quantized|onednn|xnnpack).*conv|depthwise_conv|conv.*(pointwise|depthwise)"),
        "convolution",
    ),
    (re.compile(r"^quantized_decomposed::|^torchao::|^quantized::|quantize"), "quantization"),
    (re.compile(r"^(aten::)?_?foreach_|^prims::|^aten::special_"), "elementwise"),
    (re.compile(r"(layer|group|rms|batch|instance)_?norm"), "normalization"),
)

_KERNEL_PATTERNS = tuple(
    (re.compile(pattern, re.IGNORECASE), operator_class)
    for pattern, operator_class in (
        (r"nccl|rccl|all_?reduce|all_?gather|reduce_?scatter", "communication"),
        (r"flash_?(fwd|attn|attention|bwd)|fmha|attention|_sdpa|sdpa_", "attention"),
        (r"nchwToNhwc|nhwcToNchw|nchw2nhwc|nhwc2nchw", "data_movement"),
        (r"fprop|dgrad|wgrad|implicit_gemm|implicit_conv|winograd|conv(olve|olution|2d|3d|_|\d|<)|im2col_?gemm", "convolution"),
        (r"dequant|quantize|_quant_", "quantization"),
        (r"(layer|group|rms|batch|instance)_?norm|softmax|rowwisemoments|welford|fused_params", "normalization"),
        (r"gemm|gemv|cutlass|cublas|nvjet|matmul|splitk|wgmma|dot_kernel|xmma", "linear"),
        (r"embedding|indexselect|index_select", "embedding"),
        (
            r"direct_copy|copy_kernel|CatArray|memcpy|transpose|permute|index_kernel|_scatter_gather|gather|upsample_nearest|"
            r"reflection_pad|replication_pad|unrolled_elementwise_kernel<.*copy|im2col|bfloat16_copy|float16_copy|float8_copy",
            "data_movement",
        ),
        (
            r"elementwise|reduce|pointwise|functor|distribution|vectorized|silu|gelu|arange|upsample|sort|topk|scan|fill",
            "elementwise",
        ),
    )
)  # fmt: skip

_FUSED = re.compile(
    r"(?:triton_(?P<shape>poi|red|per|tem|for|mix)_fused|cpp_fused|cpp_CppMicroGemm\w*fused)_(?P<names>\w+)"
)
_FUSED_MOVES = re.compile(
    r"^(?:_?(?:unsafe_)?(?:clone|cat|copy|to_copy|permute|transpose|view|constant_pad_nd|expand|slice|select|stack|repeat|"
    r"index|unsqueeze|squeeze|t|split|upsample_nearest2d|upsample_nearest3d|reshape|unbind|arange)_?|_|\d)+$"
)
_FUSED_NORMS = re.compile(r"norm|softmax|var_mean|rsqrt")

WITHOUT_ARITHMETIC = frozenset({"data_movement", "embedding", "communication"})
"""Classes whose operators compute nothing."""
WITHOUT_MATRICES = WITHOUT_ARITHMETIC | {"normalization", "elementwise"}
"""Classes whose operators multiply no matrices: their matrix FLOPs are 0, also where no formula counts the others."""


def _plain(base: str) -> str:
    """A name without what marks a variant of the same operator: private, in place, writing to ``out``, copying."""
    plain = base.partition(".")[0].strip("_").removesuffix("_out")
    return plain if plain in _BY_NAME else plain.removesuffix("_copy")


@cache
def operator_class(name: str) -> str:
    """Class of a torch operator, or of a compiled region's kernel that is recorded like one."""
    namespace, _, base = name.rpartition("::")
    if namespace in ("", "aten"):
        known = _BY_NAME.get(_plain(base))
        if known is not None and namespace == "aten":
            return known
    for pattern, found in _OPERATOR_PATTERNS:
        if pattern.search(name):
            return found
    return kernel_class(name) if _FUSED.search(name) else "other"


@cache
def kernel_class(name: str) -> str:
    """Class of a device kernel, for kernels that no operator is known to have launched."""
    fused = _FUSED.search(name)
    if fused is not None:
        return _fused_class(fused["shape"], fused["names"])
    return next((found for pattern, found in _KERNEL_PATTERNS if pattern.search(name)), "other")


def _fused_class(shape: str | None, names: str) -> str:
    """A compiler's kernel is named after all that was fused into it, a bias after its convolution; the shape decides."""
    if shape == "tem":
        template = next((found for pattern, found in _KERNEL_PATTERNS if pattern.search(names)), "other")
        return template if template in ("attention", "convolution") else "linear"
    if shape != "poi" and _FUSED_NORMS.search(names):
        return "normalization"
    return "data_movement" if _FUSED_MOVES.match(names) else "elementwise"


def kernel_short_name(name: str) -> str:
    """A kernel's name without return type, template arguments, parameters and namespaces."""
    short = re.sub(r"\(anonymous namespace\)::", "", name).removeprefix("void ")
    short = re.split(r"[<(]", short, maxsplit=1)[0].strip()
    return short.rpartition("::")[2] or name


@cache
def computes(name: str) -> bool:
    """Whether an operator does arithmetic, as far as its name tells; what is not known is taken to."""
    return operator_class(name) not in WITHOUT_ARITHMETIC and name not in NO_ARITHMETIC
