"""Long sounds in overlapping blocks, and the joins that keep their power."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["block_starts", "join_blocks"]


def block_starts(n_times: int, longest: int, overlap: float) -> tuple[list[int], int]:
    """Cut a sound into blocks of one length that overlap.

    Parameters
    ----------
    n_times : int
        Samples of the sound.
    longest : int
        Samples of a block at most.
    overlap : float
        Share of a block that it has in common with the next, at least.

    Returns
    -------
    starts : list of int
        Where each block begins; the last one ends with the sound.
    length : int
        Samples of every block.

    Examples
    --------
    >>> from skstrf.style.blocks import block_starts
    >>> block_starts(100, 60, 0.25)
    ([0, 42], 58)
    >>> block_starts(50, 60, 0.25)
    ([0], 50)
    """
    if n_times <= longest:
        return [0], n_times
    common = max(1, int(overlap * longest))
    count = -(-(n_times - common) // (longest - common))
    length = -(-(n_times + (count - 1) * common) // count)
    last = n_times - length
    return [round(i * last / (count - 1)) for i in range(count)], length


def join_blocks(blocks: Sequence[np.ndarray], starts: Sequence[int], n_times: int) -> np.ndarray:
    r"""Join overlapping blocks so that neither power nor phase jumps.

    Gains :math:`a = \cos`, :math:`b = \sin` keep the power of blocks that have nothing to do with
    each other, and raise it by 3 dB where they are alike. The two are therefore divided by
    :math:`\sqrt{a^2 + b^2 + 2 \rho a b}` with the correlation :math:`\rho` of the common part.

    Parameters
    ----------
    blocks : sequence of ndarray of shape (length,)
        In their order.
    starts : sequence of int
        From :func:`block_starts`; no sample is in more than two blocks.
    n_times : int
        Samples of the whole.

    Returns
    -------
    ndarray of shape (n_times,)
        The sound.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.style.blocks import block_starts, join_blocks
    >>> x = np.random.default_rng(0).standard_normal(100)
    >>> starts, length = block_starts(100, 60, 0.25)
    >>> joined = join_blocks([x[i : i + length] for i in starts], starts, 100)
    >>> bool(np.allclose(joined, x))
    True
    """
    result = np.zeros(n_times, dtype=np.result_type(*blocks))
    result[: len(blocks[0])] = blocks[0]
    end = len(blocks[0])
    for block, start in zip(blocks[1:], starts[1:], strict=True):
        common = end - start
        old, new = result[start:end], block[:common]
        angle = (np.arange(common) + 0.5) / common * (np.pi / 2)
        a, b = np.cos(angle), np.sin(angle)
        gain = np.sqrt(a * a + b * b + 2 * _correlation(old, new) * a * b)
        result[start:end] = (a * old + b * new) / gain
        result[end : start + len(block)] = block[common:]
        end = start + len(block)
    return result


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Correlation of two stretches; opposite ones count as unrelated, as they can't be joined."""
    norm = float(np.linalg.norm(x)) * float(np.linalg.norm(y))
    return max(0.0, float(x @ y) / norm) if norm else 1.0
