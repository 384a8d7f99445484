from __future__ import annotations

import pytest

from suite.attribution.taxonomy import OPERATOR_CLASSES, computes, kernel_class, kernel_short_name, operator_class
from suite.attribution.vocabulary import NAMES, NO_ARITHMETIC


def test_the_vocabulary_has_every_name_once_and_known_classes() -> None:
    names = [name for words in NAMES.values() for name in words.split()]
    assert len(names) == len(set(names))
    assert set(NAMES) < set(OPERATOR_CLASSES)


@pytest.mark.parametrize(
    ("expected", "names"),
    {
        "convolution": "aten::conv2d aten::cudnn_convolution aten::mkldnn_convolution aten::_slow_conv2d_forward "
        "mkldnn::_convolution_pointwise aten::conv_transpose2d aten::cudnn_convolution_relu",
        "linear": "aten::linear aten::addmm aten::_scaled_mm aten::_int_mm aten::einsum mkldnn::_linear_pointwise "
        "aten::_weight_int4pack_mm quantized::linear_dynamic",
        "attention": "aten::scaled_dot_product_attention aten::_flash_attention_forward flash_attn::_flash_attn_forward "
        "aten::_scaled_dot_product_flash_attention_for_cpu aten::_fused_sdp_choice xformers::memory_efficient_attention",
        "normalization": "aten::native_group_norm aten::_softmax aten::_fused_rms_norm aten::layer_norm aten::rms_norm",
        "elementwise": "aten::add_ aten::silu aten::mean aten::randn aten::fill_ aten::_foreach_mul_ aten::where "
        "aten::__and__ aten::upsample_bilinear2d aten::topk triton_poi_fused_add_0 aten::index_add_",
        "data_movement": "aten::view aten::cat aten::copy_ aten::empty_strided aten::_to_copy aten::view_copy "
        "aten::upsample_nearest2d aten::_reshape_alias aten::pixel_shuffle triton_poi_fused_clone_view_3",
        "embedding": "aten::embedding aten::index_select",
        "quantization": "aten::quantize_per_tensor quantized_decomposed::choose_qparams torchao::quantize_affine",
        "communication": "c10d::allreduce_ nccl:all_gather record_param_comms _c10d_functional::wait_tensor",
        "other": "aten::_fft_c2c mine::op Torch-Compiled unknown",
    }.items(),
)
def test_operators(expected: str, names: str) -> None:
    assert {name: operator_class(name) for name in names.split()} == dict.fromkeys(names.split(), expected)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("void pytorch_flash::flash_fwd_kernel<pytorch_flash::Flash_fwd_kernel_traits<64> >(Params)", "attention"),
        ("fmha_cutlassF_f16_aligned_64x64_rf_sm80", "attention"),
        ("sm90_xmma_fprop_implicit_gemm_bf16bf16_bf16f32", "convolution"),
        ("void cutlass__5x_cudnn::Kernel<cutlass_tensorop_s16816fprop_optimized_bf16>(Params)", "convolution"),
        ("void cudnn::winograd_nonfused::winogradForwardData4x4<float>", "convolution"),
        ("void cudnn::nchwToNhwcKernel<float>", "data_movement"),
        ("nvjet_hsh_128x256_64x4_2x1_v_bz_coopA_NTT", "linear"),
        ("ampere_sgemm_128x64_tn", "linear"),
        ("void gemv2T_kernel_val<int, int, float>", "linear"),
        ("void at::native::(anonymous namespace)::vectorized_layer_norm_kernel<float>", "normalization"),
        ("void at::native::(anonymous namespace)::cunn_SoftMaxForward<4>", "normalization"),
        ("void at::native::elementwise_kernel<128, 4, at::native::direct_copy_kernel_cuda()>", "data_movement"),
        ("void at::native::(anonymous namespace)::CatArrayBatchedCopy<float>", "data_movement"),
        ("void at::native::reduce_kernel<512, 1>", "elementwise"),
        ("ncclDevKernel_AllReduce_Sum_f16_RING_LL", "communication"),
        ("triton_poi_fused_convolution_silu_3", "elementwise"),
        ("triton_poi_fused__to_copy_clone_2", "data_movement"),
        ("triton_per_fused__softmax_add_1", "normalization"),
        ("triton_red_fused_native_group_norm_0", "normalization"),
        ("triton_red_fused_sum_0", "elementwise"),
        ("triton_tem_fused_addmm_4", "linear"),
        ("triton_tem_fused_convolution_4", "convolution"),
        ("triton_tem_fused_flex_attention_4", "attention"),
        ("mystery_kernel", "other"),
    ],
)
def test_kernels(name: str, expected: str) -> None:
    assert kernel_class(name) == expected


@pytest.mark.parametrize(
    ("name", "short"),
    [
        (
            "void at::native::vectorized_elementwise_kernel<4, at::F<float> >(int, float*)",
            "vectorized_elementwise_kernel",
        ),
        ("void at::native::(anonymous namespace)::CatArrayBatchedCopy<float, 4>(X)", "CatArrayBatchedCopy"),
        ("sm90_xmma_gemm_bf16", "sm90_xmma_gemm_bf16"),
        ("void (anonymous namespace)::softmax<float>(int)", "softmax"),
        ("<lambda>", "<lambda>"),
        ("", ""),
    ],
)
def test_short_names(name: str, short: str) -> None:
    assert kernel_short_name(name) == short


def test_what_computes_is_not_taken_for_granted() -> None:
    assert computes("aten::silu")
    assert computes("mine::op")
    assert not computes("aten::view")
    assert not any(computes(name) for name in NO_ARITHMETIC)
