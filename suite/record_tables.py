"""The tables of a record and their columns. Bytes and seconds, never scaled units; nothing here needs torch or Hydra."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema(list(columns.items()))


TABLES: Mapping[str, pa.Schema] = {
    # One row per (stage, step, module, operator, class, kind, part, precision). Rows sum to the profiled span. `flops` are of
    # matrix products and convolutions, `vector_flops` of all else; null where an operator may do some that no formula counts.
    # A simulation knows two more: `tile_flops`, those of `flops` with every tile of a kernel in full, and `copied_bytes`, what
    # operators write into temporaries of their own and read again.
    "operators": _schema(
        stage=pa.string(),
        step=pa.int32(),
        module=pa.string(),
        operator=pa.string(),
        operator_class=pa.string(),
        attention_kind=pa.string(),
        attention_part=pa.string(),
        precision=pa.string(),
        calls=pa.int64(),
        host_self_s=pa.float64(),
        device_self_s=pa.float64(),
        estimated_s=pa.float64(),
        flops=pa.int64(),
        vector_flops=pa.int64(),
        bytes_read=pa.int64(),
        bytes_written=pa.int64(),
        tile_flops=pa.int64(),
        copied_bytes=pa.int64(),
    ),
    # One row per attention call, in time order.
    "attention": _schema(
        call=pa.int32(),
        stage=pa.string(),
        step=pa.int32(),
        module=pa.string(),
        attention_kind=pa.string(),
        batch=pa.int64(),
        heads=pa.int64(),
        query_length=pa.int64(),
        key_length=pa.int64(),
        head_dim=pa.int64(),
        kernel=pa.string(),
        precision=pa.string(),
        host_s=pa.float64(),
        device_s=pa.float64(),
    ),
    # Time line of one generation, t_s from its start; a simulation has no clock and counts operator calls instead. What a
    # machine cannot tell is null, never 0; a simulation's reserved bytes are those of a model of the CUDA allocator.
    "memory": _schema(
        t_s=pa.float64(),
        call=pa.int64(),
        stage=pa.string(),
        step=pa.int32(),
        allocated_bytes=pa.int64(),
        reserved_bytes=pa.int64(),
        device_bytes=pa.int64(),
        resident_bytes=pa.int64(),
    ),
    # Peak of each stage over its spans ("generate" is the whole run); allocated includes weights. `num_alloc_retries`: how
    # often the CUDA allocator gave back all that it had cached because the device was full. A simulation's device bytes are
    # reserved bytes and the context of its machine.
    "memory_peaks": _schema(
        stage=pa.string(),
        weights_bytes=pa.int64(),
        activations_bytes=pa.int64(),
        allocated_bytes=pa.int64(),
        reserved_bytes=pa.int64(),
        num_alloc_retries=pa.int64(),
        device_bytes=pa.int64(),
        resident_bytes=pa.int64(),
    ),
    # How well the host feeds the device, one row a stage and step; a pause of at least 100 us is a long gap; launch latency is
    # the median from the begin of a call, made while the device was idle, to that of its work. Empty without a device.
    "device_activity": _schema(
        stage=pa.string(),
        step=pa.int32(),
        num_kernels=pa.int64(),
        span_s=pa.float64(),
        busy_s=pa.float64(),
        num_long_gaps=pa.int64(),
        long_gaps_s=pa.float64(),
        launch_latency_s=pa.float64(),
        num_synchronizations=pa.int64(),
        synchronization_s=pa.float64(),
    ),
    # Cosine similarity of what a module gave in two steps of one generation; symmetric, every pair of steps is a row.
    "similarity": _schema(
        module=pa.string(),
        step_i=pa.int32(),
        step_j=pa.int32(),
        similarity=pa.float64(),
    ),
    # One row per device kernel of an attention call that was launched again by itself, in launch order; a call that could not
    # be has one row without a kernel, which says why. Rates are shares of sectors, null where a kernel asked for none.
    "attention_kernels": _schema(
        attention_kind=pa.string(),
        batch=pa.int64(),
        heads=pa.int64(),
        query_length=pa.int64(),
        key_length=pa.int64(),
        head_dim=pa.int64(),
        precision=pa.string(),
        calls=pa.int64(),
        attention_kernel=pa.string(),
        launch=pa.int32(),
        kernel=pa.string(),
        kernel_class=pa.string(),
        duration_s=pa.float64(),
        l1_sectors=pa.float64(),
        l1_hit_rate=pa.float64(),
        l2_sectors=pa.float64(),
        l2_hit_rate=pa.float64(),
        dram_bytes=pa.float64(),
        reason=pa.string(),
    ),
}
