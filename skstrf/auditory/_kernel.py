"""The fused cochlear kernel: one pass over the samples, compiled for this machine.

Eight filters run side by side in the lanes of one SIMD vector, in transposed direct
form II and float64 (in float32 direct-form filters of this order are unstable). numba
has no vector type, so the inner loop is emitted as LLVM instructions: one loop per
filter order, all states in registers. What leaves the loop is a block of one frame of
samples by 136 channels, small enough for the cache; the later stages (hair cell, lateral
difference, rectification, integration) consume it before the next frame is computed, so
nothing of the size channels x samples ever exists.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from skstrf.auditory.filterbanks import cochlear_filters

LANES = 8
MAX_TAPS = 25
_VECTOR = ir.VectorType(ir.DoubleType(), LANES)
# Contraction to fused multiply-adds, where the machine has them. Inputs are finite.
_FLAGS = ("contract", "nsz")


def _packed_filters() -> tuple[np.ndarray, np.ndarray]:
    """Coefficients by group of eight channels, (17, 2, 25, 8), and each group's highest order."""
    filters = cochlear_filters()
    n_groups = -(-filters.b.shape[0] // LANES)
    packed = np.zeros((n_groups, 2, MAX_TAPS, LANES))
    orders = np.zeros(n_groups, dtype=np.int64)
    for group in range(n_groups):
        channels = slice(group * LANES, (group + 1) * LANES)
        b, a = filters.b[channels], filters.a[channels]
        packed[group, 0, :, : len(b)] = b.T
        packed[group, 1, :, : len(a)] = a.T
        orders[group] = filters.order[channels].max()
    return packed, orders


COEFFICIENTS, ORDERS = _packed_filters()
_ORDER_VALUES = sorted(set(ORDERS.tolist()))


def _emit_filter_loop(builder, order, samples, n_samples, coefficients, state, out, row_length):
    """Emit ``for n: y = s0 + b0 x; s_k = s_{k+1} + b_{k+1} x - a_{k+1} y`` for one order."""
    integer = ir.IntType(64)
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    first_lane = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)

    def pointer(base, offset):
        return builder.bitcast(builder.gep(base, [offset]), _VECTOR.as_pointer())

    def load(base, index):
        return builder.load(pointer(base, ir.Constant(integer, LANES * index)), align=8)

    def multiply_add(total, u, v):
        return builder.fadd(total, builder.fmul(u, v, flags=_FLAGS), flags=_FLAGS)

    # Stack slots become registers in LLVM's mem2reg pass.
    states = [cgutils.alloca_once(builder, _VECTOR) for _ in range(order)]
    for k in range(order):
        builder.store(load(state, k), states[k])
    b = [load(coefficients, k) for k in range(order + 1)]
    minus_a = [builder.fneg(load(coefficients, MAX_TAPS + k)) for k in range(order + 1)]
    with cgutils.for_range(builder, n_samples) as loop:
        sample = builder.load(builder.gep(samples, [loop.index]))
        x = builder.insert_element(undefined, sample, ir.Constant(ir.IntType(32), 0))
        x = builder.shuffle_vector(x, undefined, first_lane)
        y = multiply_add(builder.load(states[0]), b[0], x)
        for k in range(order - 1):
            total = multiply_add(builder.load(states[k + 1]), b[k + 1], x)
            builder.store(multiply_add(total, minus_a[k + 1], y), states[k])
        last = builder.fmul(b[order], x, flags=_FLAGS)
        builder.store(multiply_add(last, minus_a[order], y), states[order - 1])
        builder.store(y, pointer(out, builder.mul(loop.index, row_length)), align=8)
    for k in range(order):
        builder.store(
            builder.load(states[k]), pointer(state, ir.Constant(integer, LANES * k)), align=8
        )


@intrinsic
def _filter_group(typingctx, order, x, start, n_samples, coefficients, state, y, column):
    """Filter ``x[start:start+n_samples]`` by eight filters into ``y[:, column:column+8]``."""
    signature = types.void(order, x, start, n_samples, coefficients, state, y, column)

    def codegen(context, builder, signature, arguments):
        def array(i):
            return context.make_array(signature.args[i])(context, builder, arguments[i])

        out = array(6)
        row_length = builder.extract_value(out.shape, 1)
        samples = builder.gep(array(1).data, [arguments[2]])
        target = builder.gep(out.data, [arguments[7]])
        done = builder.append_basic_block("filtered")
        switch = builder.switch(arguments[0], done)
        for value in _ORDER_VALUES:
            block = builder.append_basic_block(f"order_{value}")
            switch.add_case(ir.Constant(ir.IntType(64), value), block)
            builder.position_at_end(block)
            _emit_filter_loop(
                builder,
                value,
                samples,
                arguments[3],
                array(4).data,
                array(5).data,
                target,
                row_length,
            )
            builder.branch(done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    return signature, codegen


_FAST = {"contract", "reassoc", "nsz"}


@njit(nogil=True, cache=True, error_model="numpy", inline="never")
def _flush(state):
    """Set vanishing filter states to zero: arithmetic on denormal numbers is very slow."""
    flat = state.ravel()
    for i in range(flat.size):
        if abs(flat[i]) < 1e-200:
            flat[i] = 0.0


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_FAST)
def _hair_cell(y, membrane, beta, kind, slope):
    """Apply the hair-cell nonlinearity and the membrane low-pass to a block, in place."""
    # A loop per kind, so that each is free of branches and vectorizes over the channels.
    n_samples, n_channels = y.shape
    for j in range(n_samples):
        row = y[j]
        if kind == 1:
            for c in range(n_channels):
                membrane[c] = max(row[c], 0.0) + beta * membrane[c]
        elif kind == 2:
            for c in range(n_channels):
                membrane[c] = (1.0 if row[c] > 0.0 else 0.0) + beta * membrane[c]
        else:
            for c in range(n_channels):
                membrane[c] = 1.0 / (1.0 + np.exp(-row[c] / slope)) + beta * membrane[c]
        for c in range(n_channels):
            row[c] = membrane[c]


def silent_memory(first, last):
    """Filter states, membranes and frame of a cochlea that has heard nothing yet."""
    n_groups = last - first + 1
    return (
        np.zeros((n_groups, MAX_TAPS, LANES)),
        np.zeros(n_groups * LANES),
        np.zeros((last - first) * LANES),
    )


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_FAST)
def cochlear_frames(
    x, coefficients, orders, first, last, weights, decay, kind, slope, beta, memory, out
):
    """Run the cochlea on one sound for the channel groups ``first`` to ``last - 1``."""
    n_samples = weights.size
    n_groups = last - first + 1
    n_channels = (last - first) * LANES
    y = np.zeros((n_samples, n_groups * LANES))
    state, membrane, frame = memory
    for i in range(out.shape[0]):
        for g in range(n_groups):
            _filter_group(  # type: ignore[call-arg]
                orders[first + g], x, i * n_samples, n_samples,
                coefficients[first + g], state[g], y, g * LANES,
            )  # fmt: skip
        _flush(state)
        _flush(membrane)
        if kind != 0:
            _hair_cell(y, membrane, beta, kind, slope)
        for c in range(n_channels):
            frame[c] = frame[c] * decay if abs(frame[c]) > 1e-200 else 0.0
        for j in range(n_samples):
            weight = weights[j]
            row = y[j]
            for c in range(n_channels):
                frame[c] += weight * max(row[c] - row[c + 1], 0.0)
        for c in range(n_channels):
            out[i, first * LANES + c] = frame[c]
