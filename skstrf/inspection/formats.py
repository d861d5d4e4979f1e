"""How numbers and settings are written in a report."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

__all__ = ["format_column", "format_setting", "is_missing", "looks_numeric"]

MISSING = "–"
# Strings that are numbers to a reader: "12", "-0.5", "91 %", "0.912 ± 0.013", "0.8 to 0.9".
_ONE = r"[-+−]?\d[\d,]*(\.\d+)?\s*%?"
_NUMERIC = re.compile(rf"{_ONE}(\s*(±|to)\s*{_ONE})?")


def looks_numeric(value: Any) -> bool:
    """Whether a cell wants to stand on the right.

    Parameters
    ----------
    value : object
        A cell of a table.

    Returns
    -------
    bool
        True for numbers, and for strings that read as one.

    Examples
    --------
    >>> from skstrf.inspection.formats import looks_numeric
    >>> [looks_numeric(value) for value in (3, "0.91 ± 0.02", "tuba 3", True)]
    [True, True, False, False]
    """
    if isinstance(value, bool | np.bool_):
        return False
    return isinstance(value, Real) or (
        isinstance(value, str) and _NUMERIC.fullmatch(value.strip()) is not None
    )


def is_missing(value: Any) -> bool:
    """Whether a cell says that there is no value.

    Parameters
    ----------
    value : object
        A cell of a table.

    Returns
    -------
    bool
        True for None, and for the dash and the empty string that stand for it.

    Examples
    --------
    >>> from skstrf.inspection.formats import is_missing
    >>> [is_missing(value) for value in (None, "–", "", 0.0)]
    [True, True, True, False]
    """
    return value is None or (isinstance(value, str) and value.strip() in ("", MISSING))


def format_column(values: Sequence[Any]) -> list[str]:
    """Write the cells of one column, its floats all to the same decimal.

    Parameters
    ----------
    values : sequence of object
        Strings stay as they are; None and NaN become a dash. Floats get the decimals that
        show four digits of the largest, three at most, unless the smaller ones would suffer:
        then each gets its own. Those too small for three decimals are written with a power of
        ten, whole numbers from 10000 on with thousands separators.

    Returns
    -------
    list of str
        One for each value.

    Examples
    --------
    >>> from skstrf.inspection.formats import format_column
    >>> format_column([0.5, 0.91234, None])
    ['0.500', '0.912', '–']
    >>> format_column([0.91234, 12.5, 123456])
    ['0.912', '12.50', '123,456']
    """
    floats = [abs(float(v)) for v in values if _is_float(v) and math.isfinite(v) and v != 0]
    largest, smallest = max(floats, default=0.0), min(floats, default=0.0)
    digits = _digits(largest)
    if largest >= 10 and smallest < 100 * 10.0**-digits:
        return [_format_cell(v, _digits(v) if _is_float(v) else 0) for v in values]
    return [_format_cell(value, digits) for value in values]


def format_setting(value: Any) -> str:
    """Write the value of a setting: as it is, lists and mappings without brackets.

    Parameters
    ----------
    value : object
        Such as a parameter of an estimator.

    Returns
    -------
    str
        Nothing is rounded.

    Examples
    --------
    >>> from skstrf.inspection.formats import format_setting
    >>> format_setting((0.25, 0.5, 1))
    '0.25, 0.5, 1'
    >>> format_setting({"mask": 0.1, "classes": ["oboe", "tuba"]})
    'mask: 0.1; classes: oboe, tuba'
    """
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {format_setting(v)}" for key, v in value.items()) or MISSING
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(format_setting(v) for v in value) or MISSING
    return str(value)


def _is_float(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, Integral | np.bool_)


def _digits(value: float) -> int:
    """Decimals that show four digits of a number, three at most."""
    size = abs(float(value))
    if not math.isfinite(size) or size < 10:
        return 3
    return max(0, 3 - math.floor(math.log10(size)))


def _format_cell(value: Any, digits: int) -> str:
    if value is None or (_is_float(value) and math.isnan(value)):
        return MISSING
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, Integral):
        return f"{int(value):,}" if abs(int(value)) >= 10_000 else str(int(value))
    if not _is_float(value):
        return str(value)
    number = float(value)
    if number != 0 and abs(number) < 0.5 * 10.0**-digits:
        return f"{number:.2e}"
    if abs(number) >= 1e15:
        return f"{number:.3e}"
    return f"{number:,.{digits}f}" if abs(number) >= 10_000 else f"{number:.{digits}f}"
