import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skstrf.inspection.report import format_column, format_setting, looks_numeric


@pytest.mark.parametrize(
    "values, written",
    [
        ([0.5, 0.0, 1.0], ["0.500", "0.000", "1.000"]),
        ([0.9, 0.002], ["0.900", "0.002"]),
        ([3e-7, 0.2], ["3.00e-07", "0.200"]),
        ([15.0, 3.14159], ["15.00", "3.14"]),
        ([0.912, 1234.5], ["0.912", "1234"]),
        ([1999, 20171, -12345], ["1999", "20,171", "-12,345"]),
        ([np.float32(0.25), np.int64(3), np.bool_(True)], ["0.250", "3", "yes"]),
        ([None, float("nan"), float("inf"), False], ["–", "–", "inf", "no"]),
        (["0.9", "", "x"], ["0.9", "", "x"]),
        ([], []),
    ],
)
def test_columns(values, written):
    assert format_column(values) == written


@given(st.lists(st.floats(-1e300, 1e300), min_size=1))
def test_what_is_read_is_what_was_meant(values):
    for value, text in zip(values, format_column(values), strict=True):
        read = float(text.replace(",", ""))
        # Two digits at least, or three decimals.
        assert math.isclose(read, value, rel_tol=0.05, abs_tol=0.0005001)


@pytest.mark.parametrize(
    "value, expected",
    [
        (1, True),
        (np.float32(0.5), True),
        ("-1,234.5", True),
        ("91 %", True),
        ("0.912 ± 0.013", True),
        ("0.925 to 0.979", True),
        ("ten to 12", False),
        (True, False),
        ("", False),
        (None, False),
        ("1.2.3", False),
        ("3 violins", False),
    ],
)
def test_what_stands_on_the_right(value, expected):
    assert looks_numeric(value) is expected


@pytest.mark.parametrize(
    "value, written",
    [
        (0.1 + 0.2, "0.30000000000000004"),
        (np.array([0.25, 8]), "0.25, 8.0"),
        ([np.float64(2), "a"], "2.0, a"),
        ({"b": (1, 2), "c": None}, "b: 1, 2; c: None"),
        ((), "–"),
        ("x", "x"),
    ],
)
def test_settings_are_written_in_full(value, written):
    assert format_setting(value) == written
