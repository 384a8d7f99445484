"""The taxonomy: which class of operator a name belongs to, for torch operators and, where none is known, for kernels.

Decisions where a name could go two ways are in docs/decisions/attribution.md. In short: reductions, comparisons, random
numbers and fills count as ``elementwise``; softmax outside attention as ``normalization``; whatever only changes where
values lie, or allocates, as ``data_movement``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

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

_NAMES: Mapping[str, str] = {
    "convolution": """
        convolution convolution_overrideable conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d
        conv_tbc conv_depthwise3d thnn_conv2d slow_conv2d_forward slow_conv3d slow_conv3d_forward slow_conv_transpose2d
        slow_conv_transpose3d slow_conv_dilated2d slow_conv_dilated3d nnpack_available
        nnpack_spatial_convolution mkldnn_reorder_conv2d_weight mkldnn_reorder_conv3d_weight
    """,
    "linear": """
        linear matmul mm addmm bmm baddbmm addbmm mv addmv dot vdot inner outer ger addr einsum tensordot bilinear
        trilinear chain_matmul linalg_multi_dot int_mm scaled_mm scaled_grouped_mm grouped_mm addmm_activation
        mkldnn_linear weight_int8pack_mm weight_int4pack_mm weight_int4pack_mm_for_cpu weight_int4pack_mm_with_scales_and_zeros
        dyn_quant_matmul_4bit mixed_dtypes_linear sparse_semi_structured_linear sparse_semi_structured_mm
        sparse_semi_structured_addmm cslt_sparse_mm linalg_matmul linalg_vecdot
    """,
    "attention": """
        fused_sdp_choice native_multi_head_attention transform_bias_rescale_qkv flex_attention flash_attention_forward
        efficient_attention_forward cudnn_attention_forward triton_scaled_dot_attention
    """,
    "normalization": """
        layer_norm native_layer_norm group_norm native_group_norm rms_norm fused_rms_norm batch_norm native_batch_norm
        batch_norm_impl_index native_batch_norm_legit native_batch_norm_legit_no_training batch_norm_with_update
        cudnn_batch_norm miopen_batch_norm instance_norm weight_norm weight_norm_interface local_response_norm
        softmax safe_softmax log_softmax masked_softmax norm linalg_norm linalg_vector_norm normalize renorm
    """,
    "elementwise": """
        add sub rsub mul div true_divide floor_divide remainder fmod pow square sqrt rsqrt reciprocal neg abs sign exp expm1
        exp2 log log2 log10 log1p sin cos tan sinh cosh tanh asin acos atan atan2 erf erfc erfinv sigmoid log_sigmoid
        log_sigmoid_forward silu gelu relu relu6 leaky_relu elu selu celu mish hardtanh hardswish hardsigmoid softplus softshrink
        hardshrink threshold prelu glu clamp clamp_min clamp_max clip minimum maximum fmin fmax round floor ceil trunc frac
        lerp addcmul addcdiv where masked_fill masked_scatter dropout native_dropout fused_dropout feature_dropout
        alpha_dropout eq ne lt le gt ge
        isnan isinf isfinite isin isclose allclose equal logical_and logical_or logical_not logical_xor bitwise_and bitwise_or
        bitwise_not bitwise_xor bitwise_left_shift bitwise_right_shift nan_to_num copysign heaviside signbit sgn
        sum mean prod max min amax amin aminmax argmax argmin any all std var std_mean var_mean logsumexp cumsum cumprod cummax
        cummin logcumsumexp median nanmedian quantile mode count_nonzero nansum bincount histc searchsorted bucketize
        sort argsort topk kthvalue unique unique2 unique_consecutive unique_dim multinomial nonzero tril triu tril_indices
        triu_indices randn randn_like rand rand_like randint randint_like randperm normal uniform bernoulli exponential
        random cauchy geometric log_normal poisson arange range linspace logspace eye zeros zeros_like ones ones_like
        full full_like fill zero new_zeros new_ones new_full scalar_tensor polar complex real imag view_as_real conj_physical angle
        upsample_bilinear2d upsample_bicubic2d upsample_trilinear3d upsample_linear1d upsample_bilinear2d_aa
        upsample_bicubic2d_aa interpolate grid_sampler grid_sampler_2d grid_sampler_3d cudnn_grid_sampler
        affine_grid_generator avg_pool1d avg_pool2d avg_pool3d max_pool1d max_pool2d max_pool3d max_pool2d_with_indices
        max_pool3d_with_indices adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool2d
        mkldnn_adaptive_avg_pool2d mkldnn_max_pool2d cdist pairwise_distance cosine_similarity cross
        foreach_add foreach_mul foreach_norm addcdiv_ mse_loss l1_loss is_nonzero gcd lcm diff trapezoid hann_window
    """,
    "data_movement": """
        view reshape reshape_alias unsafe_view as_strided expand expand_as permute transpose t numpy_t mt mh adjoint swapaxes
        swapdims movedim moveaxis squeeze unsqueeze select slice narrow narrow_copy split split_with_sizes unsafe_split
        unsafe_split_with_sizes split_with_sizes_copy chunk unsafe_chunk tensor_split unbind flatten unflatten ravel diagonal
        diag diag_embed unfold as_strided_scatter slice_scatter select_scatter detach alias lift lift_fresh lift_fresh_copy
        view_as view_as_complex view_as_real_copy resolve_conj resolve_neg conj contiguous clone copy copy_from to to_copy
        type_as to_device to_mkldnn to_dense to_dtype cat concat concatenate stack hstack vstack dstack repeat
        repeat_interleave tile roll flip fliplr flipud rot90 pad constant_pad_nd constant_pad reflection_pad1d
        reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d replication_pad3d pad_circular pad_enum
        empty empty_like empty_strided empty_permuted empty_quantized new_empty new_empty_strided resize resize_as
        resize_output set set_data storage cpu cuda pin_memory is_pinned item local_scalar_dense index index_put
        index_put_impl unsafe_index unsafe_index_put index_copy index_add index_fill gather scatter scatter_add
        scatter_reduce take take_along_dim put masked_select im2col col2im pixel_shuffle pixel_unshuffle channel_shuffle
        native_channel_shuffle upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_nearest_exact1d
        upsample_nearest_exact2d upsample_nearest_exact3d meshgrid broadcast_to broadcast_tensors atleast_1d atleast_2d
        atleast_3d block_diag cartesian_prod combinations assert_async assert_tensor_metadata functional_assert_async
        result_type can_cast promote_types is_same_size size stride numel dim sym_size rename record_stream
        nested_tensor_from_mask nested_view_from_buffer to_padded_tensor
    """,
    "embedding": "embedding embedding_bag embedding_renorm index_select rotary_embedding one_hot",
    "quantization": """
        quantize_per_tensor quantize_per_channel quantize_per_tensor_dynamic dequantize fake_quantize_per_tensor_affine
        fake_quantize_per_channel_affine choose_qparams_per_tensor choose_qparams_optimized q_scale q_zero_point int_repr
        make_per_tensor_quantized_tensor make_per_channel_quantized_tensor convert_weight_to_int4pack
        convert_weight_to_int4pack_for_cpu quantized_max_pool2d
    """,
}

_BY_NAME = {name: operator_class for operator_class, names in _NAMES.items() for name in names.split()}

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
        (r"fprop|dgrad|wgrad|implicit_gemm|implicit_convolve|winograd|conv(olve|olution|2d|3d|_|\d|<)|im2col_?gemm", "convolution"),
        (r"dequant|quantize|_quant_", "quantization"),
        (r"(layer|group|rms|batch|instance)_?norm|softmax|rowwisemoments|welford|fused_params", "normalization"),
        (r"gemm|gemv|cutlass|cublas|nvjet|matmul|splitk|wgmma|dot_kernel|xmma", "linear"),
        (r"embedding|indexselect|index_select", "embedding"),
        (
            r"direct_copy|copy_kernel|CatArray|memcpy|transpose|permute|index_kernel|_scatter_gather|gather|upsample_nearest|"
            r"reflection_pad|replication_pad|unrolled_elementwise_kernel<.*copy|im2col|bfloat16_copy|float16_copy|float8_copy",
            "data_movement",
        ),
        (r"elementwise|reduce|pointwise|functor|distribution|vectorized|silu|gelu|arange|upsample|sort|topk|scan|fill", "elementwise"),
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

_NO_ARITHMETIC = frozenset({"data_movement", "embedding", "communication"})
_NO_ARITHMETIC_NAMES = frozenset(
    [
        "aten::_fused_sdp_choice",
        "aten::_nnpack_available",
        "aten::zeros",
        "aten::zeros_like",
        "aten::ones",
        "aten::ones_like",
        "aten::full",
        "aten::full_like",
        "aten::fill_",
        "aten::zero_",
        "aten::new_zeros",
        "aten::new_ones",
        "aten::new_full",
        "aten::scalar_tensor",
        "aten::view_as_real",
        "aten::real",
        "aten::imag",
        "aten::is_nonzero",
        "aten::result_type",
    ]
)


@cache
def operator_class(name: str) -> str:
    """Class of a torch operator, or of a compiled region's kernel that is recorded like one."""
    namespace, _, base = name.rpartition("::")
    if namespace in ("", "aten"):
        known = _BY_NAME.get(base.strip("_").removesuffix("_out").removesuffix(".out"))
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
    return operator_class(name) not in _NO_ARITHMETIC and name not in _NO_ARITHMETIC_NAMES
