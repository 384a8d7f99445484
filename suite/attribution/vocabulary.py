"""The vocabulary: torch's own operators by class, without namespace, outer underscores and variant."""

from __future__ import annotations

from collections.abc import Mapping

NAMES: Mapping[str, str] = {
    "convolution": """
        convolution convolution_overrideable conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d
        conv_tbc conv_depthwise3d thnn_conv2d slow_conv2d_forward slow_conv3d slow_conv3d_forward
        slow_conv_transpose2d slow_conv_transpose3d slow_conv_dilated2d slow_conv_dilated3d nnpack_available
        nnpack_spatial_convolution mkldnn_reorder_conv2d_weight mkldnn_reorder_conv3d_weight
    """,
    "linear": """
        linear matmul mm addmm bmm baddbmm addbmm mv addmv dot vdot inner outer ger addr einsum tensordot bilinear
        trilinear chain_matmul linalg_multi_dot int_mm scaled_mm scaled_grouped_mm grouped_mm addmm_activation
        mkldnn_linear weight_int8pack_mm weight_int4pack_mm weight_int4pack_mm_for_cpu
        weight_int4pack_mm_with_scales_and_zeros dyn_quant_matmul_4bit mixed_dtypes_linear
        sparse_semi_structured_linear sparse_semi_structured_mm sparse_semi_structured_addmm cslt_sparse_mm
        linalg_matmul linalg_vecdot
    """,
    "attention": """
        fused_sdp_choice native_multi_head_attention transform_bias_rescale_qkv flex_attention flash_attention_forward
        efficient_attention_forward cudnn_attention_forward triton_scaled_dot_attention
    """,
    "normalization": """
        layer_norm native_layer_norm group_norm native_group_norm rms_norm fused_rms_norm batch_norm native_batch_norm
        batch_norm_impl_index native_batch_norm_legit native_batch_norm_legit_no_training batch_norm_with_update
        cudnn_batch_norm miopen_batch_norm instance_norm weight_norm weight_norm_interface local_response_norm softmax
        safe_softmax log_softmax masked_softmax norm linalg_norm linalg_vector_norm normalize renorm
    """,
    "elementwise": """
        and or xor iand ior ixor lshift rshift
        add sub rsub mul div true_divide floor_divide remainder fmod pow square sqrt rsqrt reciprocal neg abs sign exp
        expm1 exp2 log log2 log10 log1p sin cos tan sinh cosh tanh asin acos atan atan2 erf erfc erfinv sigmoid
        log_sigmoid log_sigmoid_forward silu gelu relu relu6 leaky_relu elu selu celu mish hardtanh hardswish
        hardsigmoid softplus softshrink hardshrink threshold prelu glu clamp clamp_min clamp_max clip minimum maximum
        fmin fmax round floor ceil trunc frac lerp addcmul addcdiv where masked_fill masked_scatter dropout
        native_dropout fused_dropout feature_dropout alpha_dropout eq ne lt le gt ge isnan isinf isfinite isin isclose
        allclose equal logical_and logical_or logical_not logical_xor bitwise_and bitwise_or bitwise_not bitwise_xor
        bitwise_left_shift bitwise_right_shift nan_to_num copysign heaviside signbit sgn sum mean prod max min amax
        amin aminmax argmax argmin any all std var std_mean var_mean logsumexp cumsum cumprod cummax cummin
        logcumsumexp median nanmedian quantile mode count_nonzero nansum bincount histc searchsorted bucketize sort
        argsort topk kthvalue unique unique2 unique_consecutive unique_dim multinomial nonzero tril triu tril_indices
        triu_indices randn randn_like rand rand_like randint randint_like randperm normal uniform bernoulli
        exponential random cauchy geometric log_normal poisson arange range linspace logspace eye zeros zeros_like
        ones ones_like full full_like fill zero new_zeros new_ones new_full scalar_tensor polar complex conj_physical
        angle upsample_bilinear2d upsample_bicubic2d upsample_trilinear3d upsample_linear1d upsample_bilinear2d_aa
        upsample_bicubic2d_aa interpolate grid_sampler grid_sampler_2d grid_sampler_3d cudnn_grid_sampler
        affine_grid_generator avg_pool1d avg_pool2d avg_pool3d max_pool1d max_pool2d max_pool3d
        max_pool2d_with_indices max_pool3d_with_indices adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d
        adaptive_max_pool2d mkldnn_adaptive_avg_pool2d mkldnn_max_pool2d cdist pairwise_distance cosine_similarity
        cross foreach_add foreach_mul foreach_norm mse_loss l1_loss is_nonzero gcd lcm diff trapezoid hann_window
        absolute multiply divide subtract greater greater_equal less less_equal not_equal negative logit fix
        float_power logaddexp xlogy ldexp hypot cdist_forward prelu_kernel cummax_helper cummin_helper add_relu
        is_all_true is_any_true nanmean amp_update_scale argwhere asinh acosh atanh sinc huber_loss smooth_l1_loss
        cross_entropy_loss nll_loss rrelu dist index_add scatter_add scatter_reduce
    """,
    "data_movement": """
        view reshape reshape_alias unsafe_view as_strided expand expand_as permute transpose t mt mh adjoint swapaxes
        swapdims movedim moveaxis squeeze unsqueeze select slice narrow narrow_copy split split_with_sizes
        unsafe_split unsafe_split_with_sizes split_with_sizes_copy chunk unsafe_chunk tensor_split unbind flatten
        unflatten ravel diagonal diag diag_embed unfold as_strided_scatter slice_scatter select_scatter detach alias
        lift lift_fresh lift_fresh_copy view_as view_as_complex resolve_conj resolve_neg conj contiguous clone copy
        copy_from to to_copy type_as to_device to_mkldnn to_dense to_dtype cat concat concatenate stack hstack vstack
        dstack repeat repeat_interleave tile roll flip fliplr flipud rot90 pad constant_pad_nd constant_pad
        reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d replication_pad3d
        pad_circular pad_enum empty empty_like empty_strided empty_permuted empty_quantized new_empty
        new_empty_strided resize resize_as resize_output set set_data storage cpu cuda pin_memory is_pinned item
        local_scalar_dense index index_put index_put_impl unsafe_index unsafe_index_put index_copy index_fill gather
        scatter take take_along_dim put masked_select im2col col2im pixel_shuffle pixel_unshuffle channel_shuffle
        native_channel_shuffle upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_nearest_exact1d
        upsample_nearest_exact2d upsample_nearest_exact3d meshgrid broadcast_to broadcast_tensors atleast_1d
        atleast_2d atleast_3d block_diag cartesian_prod combinations assert_async assert_tensor_metadata
        functional_assert_async result_type can_cast promote_types is_same_size size stride numel dim sym_size rename
        record_stream reshape_as diagflat column_stack unsafe_masked_index chunk_cat lazy_clone mkldnn_reshape
        mkldnn_transpose hsplit vsplit dsplit data is_contiguous tensor slice_inverse numpy_T nested_tensor_from_mask
        nested_view_from_buffer to_padded_tensor view_as_real real imag
    """,
    "embedding": """
        embedding embedding_bag embedding_renorm index_select rotary_embedding one_hot
    """,
    "quantization": """
        quantize_per_tensor quantize_per_channel quantize_per_tensor_dynamic dequantize
        fake_quantize_per_tensor_affine fake_quantize_per_channel_affine choose_qparams_per_tensor
        choose_qparams_optimized q_scale q_zero_point int_repr make_per_tensor_quantized_tensor
        make_per_channel_quantized_tensor convert_weight_to_int4pack convert_weight_to_int4pack_for_cpu
        quantized_max_pool2d
    """,
}

NO_ARITHMETIC = frozenset(
    {
        "aten::_fused_sdp_choice",
        "aten::_nnpack_available",
        "aten::dropout",
        "aten::fill_",
        "aten::full",
        "aten::full_like",
        "aten::is_nonzero",
        "aten::new_full",
        "aten::new_ones",
        "aten::new_zeros",
        "aten::ones",
        "aten::ones_like",
        "aten::scalar_tensor",
        "aten::zero_",
        "aten::zeros",
        "aten::zeros_like",
    }
)
"""Of the classes that compute those that do not: they write constants, choose, or only pass on (dropout, in inference)."""
