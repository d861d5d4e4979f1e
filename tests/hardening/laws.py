"""What every function promises on any input: its own ValueError, or a finite result."""

import os
import traceback
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

import skstrf

# SKSTRF_EXAMPLES multiplies the examples; without it they are the same ones in every run.
FACTOR = int(os.environ.get("SKSTRF_EXAMPLES", "1"))
OURS = str(Path(skstrf.__file__).parent)
# Messages of scikit-learn's checks of parameters and data are written for its users.
CHECKS = (
    os.path.join("sklearn", "utils", "validation.py"),
    "_param_validation.py",
    os.path.join("sklearn", "model_selection", "_split.py"),
    os.path.join("sklearn", "utils", "multiclass.py"),
)


def examples(n):
    """Settings of a property: `n` examples, more when asked for."""
    return settings(
        max_examples=n * FACTOR,
        deadline=None,
        derandomize=FACTOR == 1,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def result_of(function, *args, **options):
    """What `function` gives, or None where it refuses its input in words of its own."""
    try:
        return function(*args, **options)
    except ValueError as error:
        where = traceback.extract_tb(error.__traceback__)[-1].filename
        assert where.startswith(OURS) or where.endswith(CHECKS), (where, str(error))
        assert len(str(error)) > 15, str(error)
        return None


def arrays(
    *ndims, dtypes=("f4", "f8", "i2", "u1", "f2", "i8"), longest=40, lengths=None, any=True
):
    """Real arrays of all sorts: silence, spikes, steps, large and small, strided, damaged."""

    @st.composite
    def draw_array(draw):
        ndim = draw(st.sampled_from(ndims))
        shape = tuple(draw(st.integers(1, longest)) for _ in range(ndim))
        if lengths is not None:
            shape = (*shape[:-1], draw(lengths))
        rng = np.random.default_rng(draw(st.integers(0, 2**16)))
        kind = draw(st.sampled_from(["noise", "noise", "zeros", "constant", "spike", "steps"]))
        x = {
            "noise": lambda: rng.standard_normal(shape),
            "zeros": lambda: np.zeros(shape),
            "constant": lambda: np.full(shape, 0.7),
            "spike": lambda: np.where(rng.random(shape) < 0.05, 1.0, 0.0),
            "steps": lambda: np.round(2 * rng.standard_normal(shape)) / 2,
        }[kind]()
        dtype = np.dtype(draw(st.sampled_from(dtypes)))
        if dtype.kind == "f":
            exponent = draw(st.sampled_from([0, 0, 0, -3, 3, -12, 8] if any else [0]))
            limit = 6e4 if dtype == np.float16 else np.inf
            x = np.clip(x * 10.0**exponent, -limit, limit)
        else:
            x = np.abs(100 * x) % 120 if dtype.kind == "u" else 100 * x
        x = x.astype(dtype)
        if any:
            x = draw(st.sampled_from([_same] * 4 + [_strided, _backwards, _fortran, _flawed]))(x)
        return x

    return draw_array()


def _same(x):
    return x


def _strided(x):
    return np.repeat(x, 2, axis=-1)[..., ::2]


def _backwards(x):
    return x[..., ::-1]


def _fortran(x):
    return np.asfortranarray(x)


def _flawed(x):
    """NaN, infinity, or nothing at all."""
    if x.dtype.kind != "f":
        return x[..., :0]
    x = x.copy()
    x.flat[x.size // 2] = np.nan if x.size % 2 else -np.inf
    return x


def numbers(low, high, *, whole=False):
    """Mostly what makes sense between `low` and `high`; sometimes what makes none."""
    sense = st.integers(low, high) if whole else st.floats(low, high, allow_nan=False)
    odd = st.sampled_from([0, -1, -low, np.nan, np.inf, -np.inf, 1e-300, 1e300, 0.5, 2.5])
    return st.integers(0, 9).flatmap(lambda n: odd if n == 0 else sense)


def ascending(low, high, most=4):
    """Rates or scales, mostly in order."""
    values = st.lists(st.floats(low, high), min_size=1, max_size=most, unique=True)
    odd = st.sampled_from([[], [0.0], [-1.0, 2.0], [3.0, 1.0], [np.nan], [1e-9], [1e9], 4.0])
    return st.integers(0, 9).flatmap(lambda n: odd if n == 0 else values.map(sorted))


def float_of(x):
    """The dtype that results have: single precision stays single."""
    return np.float32 if np.asarray(x).dtype in (np.float16, np.float32) else np.float64
