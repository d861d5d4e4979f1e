"""Cross recurrence of two chromagrams and the longest alignment in it, Qmax."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from skstrf.utils.validation import checked_number, checked_reals, checked_whole

__all__ = ["cross_recurrence", "qmax", "qmax_scores", "transposition_index"]

# Serra, Serra and Andrzejak (2009) found these values by a search on 2125 songs; those of the
# gaps are the ones of essentia, which the tests compare with.
EMBEDDING = 9
NEIGHBORS = 0.095
GAP = 0.5


def transposition_index(query: np.ndarray, reference: np.ndarray) -> int:
    """Return by how many pitch classes `reference` is shifted so that its profile fits `query`.

    Chromagrams have the shape (n_pitch_classes, n_frames).
    """
    profiles = [_profile(chroma) for chroma in (query, reference)]
    return int(_transposition(*profiles))


def cross_recurrence(
    query: Any,
    reference: Any,
    *,
    embedding: int = EMBEDDING,
    delay: int = 1,
    neighbors: float = NEIGHBORS,
    key_invariant: bool = True,
) -> np.ndarray:
    """Return which moments of two chromagrams resemble each other, (n_query, n_reference), bool.

    Moments are stacks of `embedding` frames at distances of `delay` frames. Two moments resemble
    each other if each is among the share `neighbors` of moments nearest to the other.
    """
    query, reference, length = _checked_pair(query, reference, embedding, delay, key_invariant)
    neighbors = checked_number(neighbors, "neighbors", low=0, high=1)
    shift = transposition_index(query, reference) if key_invariant else 0
    sizes = tuple(chroma.shape[1] - length for chroma in (query, reference))
    distances = np.empty(sizes, np.float32)
    _stack_distances(query, reference, shift, embedding, delay, distances)
    found = np.empty(sizes, np.bool_)
    _mutual_neighbors(distances, neighbors, found)
    return found


def qmax(
    query: Any,
    reference: Any,
    *,
    embedding: int = EMBEDDING,
    delay: int = 1,
    neighbors: float = NEIGHBORS,
    gap_onset: float = GAP,
    gap_extension: float = GAP,
    key_invariant: bool = True,
) -> float:
    """Return the length of the best alignment of two chromagrams, Qmax.

    Parameters
    ----------
    query : array-like of shape (n_pitch_classes, n_frames)
        Chromagram, for example of `ChromaTransformer`.
    reference : array-like of shape (n_pitch_classes, n_reference_frames)
        Chromagram to align with `query`.
    embedding : int, default=9
        Number of frames that are stacked to one moment.
    delay : int, default=1
        Number of frames from one frame of a moment to the next.
    neighbors : float, default=0.095
        Share of the moments of one piece that count as near to a moment of the other, in [0, 1].
    gap_onset : float, default=0.5
        What is subtracted from the length where the alignment is interrupted.
    gap_extension : float, default=0.5
        What is subtracted for each further moment of an interruption.
    key_invariant : bool, default=True
        Whether `reference` is first transposed to the key of `query`, by the optimal transposition
        index.

    Returns
    -------
    float
        Number of pairs of moments in the best alignment less the subtractions for its gaps; 0 if
        there is none. Alignments begin with the third moments. The distance of Serra et al. is
        ``sqrt(n_reference_moments) / qmax``, where ``n_reference_moments`` is
        ``n_reference_frames - embedding * delay``.

    Raises
    ------
    ValueError
        If a chromagram contains NaN or infinity or has no more than ``embedding * delay`` frames,
        or their numbers of pitch classes differ.

    See Also
    --------
    skstrf.VersionRetriever : Retrieval of the versions of a piece from a collection.

    References
    ----------
    .. [1] J. Serra, X. Serra and R. G. Andrzejak, "Cross recurrence quantification for cover song
       identification", New Journal of Physics 11, 093017, 2009.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.versions import qmax
    >>> chroma = np.random.default_rng(0).random((12, 60))
    >>> transposed = np.roll(chroma[:, 10:50], 3, axis=0)
    >>> qmax(chroma, transposed)  # 31 moments in 40 frames, the first two of which do not count
    29.0
    """
    options: dict[str, Any] = {"embedding": embedding, "delay": delay, "neighbors": neighbors}
    found = cross_recurrence(query, reference, key_invariant=key_invariant, **options)
    onset = checked_number(gap_onset, "gap_onset", low=0)
    extension = checked_number(gap_extension, "gap_extension", low=0)
    return float(_longest_alignment(found, onset, extension))


def best_path(found: np.ndarray, gap: float = GAP) -> np.ndarray:
    """Return the pairs (query, reference) of moments of the best alignment, (n_pairs, 2)."""
    scores = _scores(found, gap, gap)
    i, j = np.unravel_index(np.argmax(scores), scores.shape)
    pairs = []
    while i >= 2 and j >= 2 and scores[i, j] > 0:
        pairs.append((i, j))
        previous = [(i - 1, j - 1), (i - 2, j - 1), (i - 1, j - 2)]
        costs = [0.0 if found[i, j] else gap] * 3
        gains = [scores[place] - cost for place, cost in zip(previous, costs, strict=True)]
        i, j = previous[int(np.argmax(gains))]
    return np.array(pairs[::-1], dtype=np.intp).reshape(-1, 2)


def qmax_scores(
    query: np.ndarray, references: list[np.ndarray], *, key_invariant: bool = True
) -> np.ndarray:
    """Return Qmax of one chromagram and each of several, all of them checked before."""
    rows = np.ascontiguousarray(query, dtype=np.float32)
    profile = _profile(query)
    scores = np.empty(len(references))
    for number, reference in enumerate(references):
        columns = np.ascontiguousarray(reference, dtype=np.float32)
        shift = _transposition(profile, _profile(reference)) if key_invariant else 0
        scores[number] = _qmax(rows, columns, shift, EMBEDDING, 1, NEIGHBORS, GAP, GAP)
    return scores


def _checked_pair(
    query: Any, reference: Any, embedding: int, delay: int, key_invariant: bool
) -> tuple[np.ndarray, np.ndarray, int]:
    pair = []
    length = checked_whole(embedding, "embedding") * checked_whole(delay, "delay")
    for name, chroma in (("query", query), ("reference", reference)):
        array = checked_reals(chroma, name, ndim=2)
        if array.ndim != 2:
            raise ValueError(f"{name} must be one chromagram, of two axes; got {array.ndim}.")
        if array.shape[1] <= length:
            raise ValueError(
                f"{name} has {array.shape[1]} frames, and moments of {embedding} frames need "
                f"more than {length}: use longer sounds or a higher frame rate."
            )
        pair.append(np.ascontiguousarray(array, dtype=np.float32))
    if len(pair[0]) != len(pair[1]):
        raise ValueError(
            f"query has {len(pair[0])} pitch classes and reference {len(pair[1])}: compute both "
            "with the same transformer."
        )
    return pair[0], pair[1], length


def _profile(chroma: np.ndarray) -> np.ndarray:
    """Return the energy of each pitch class over the whole piece."""
    return np.asarray(chroma, dtype=np.float64).sum(axis=1)


def _transposition(query: np.ndarray, reference: np.ndarray) -> int:
    """Return the circular shift of `reference` with the largest inner product."""
    shifts = [np.dot(query, np.roll(reference, shift)) for shift in range(len(reference))]
    return int(np.argmax(shifts))


# Compiled with a cache on disk. Simple functions are safe when several processes compile them at
# the same time, unlike generalized ufuncs; no numpy function is called, because compiling
# numpy.partition takes ten seconds.


@njit(nogil=True, cache=True)
def _stack_distances(rows, columns, shift, embedding, delay, out):
    """Distances of all stacks of frames, by sums along the diagonals; inner loops are vectors."""
    n_classes, n_rows = rows.shape
    n_columns = columns.shape[1]
    frames = np.zeros((n_rows, n_columns), np.float32)
    for i in range(n_rows):
        for k in range(n_classes):
            value = rows[k, i]
            other = columns[(k - shift) % n_classes]
            for j in range(n_columns):
                difference = value - other[j]
                frames[i, j] += difference * difference
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = frames[i, j]
        for k in range(1, embedding):
            step = k * delay
            for j in range(out.shape[1]):
                out[i, j] += frames[i + step, j + step]
        for j in range(out.shape[1]):
            out[i, j] = math.sqrt(out[i, j])


@njit(nogil=True, cache=True)
def _percentile(values, share):
    """Value below which a share of the values lies, by linear interpolation."""
    place = share * (len(values) - 1)
    low = int(place)
    n_kept = min(low + 2, len(values))
    kept = np.empty(n_kept, np.float32)  # the smallest values, in order
    count = 0
    for value in values:
        if count == n_kept and value >= kept[count - 1]:
            continue
        position = min(count, n_kept - 1)
        while position > 0 and kept[position - 1] > value:
            kept[position] = kept[position - 1]
            position -= 1
        kept[position] = value
        count = min(count + 1, n_kept)
    second = kept[min(low + 1, n_kept - 1)]
    return kept[low] + (place - low) * (second - kept[low])


@njit(nogil=True, cache=True)
def _mutual_neighbors(distances, share, out):
    n_rows, n_columns = distances.shape
    limits = np.empty(n_columns, np.float32)
    for j in range(n_columns):
        limits[j] = _percentile(distances[:, j], share)
    for i in range(n_rows):
        limit = _percentile(distances[i], share)
        for j in range(n_columns):
            out[i, j] = distances[i, j] <= limit and distances[i, j] <= limits[j]


@njit(nogil=True, cache=True)
def _scores(found, onset, extension):
    """Length of the best alignment that ends at each pair, equation 4 of Serra et al."""
    n_rows, n_columns = found.shape
    scores = np.zeros((n_rows, n_columns))
    for i in range(2, n_rows):
        for j in range(2, n_columns):
            if found[i, j]:
                best = max(scores[i - 1, j - 1], scores[i - 2, j - 1], scores[i - 1, j - 2])
                scores[i, j] = best + 1
            else:
                a = scores[i - 1, j - 1] - (onset if found[i - 1, j - 1] else extension)
                b = scores[i - 2, j - 1] - (onset if found[i - 2, j - 1] else extension)
                c = scores[i - 1, j - 2] - (onset if found[i - 1, j - 2] else extension)
                scores[i, j] = max(0.0, a, b, c)
    return scores


@njit(nogil=True, cache=True)
def _longest_alignment(found, onset, extension):
    scores = _scores(found, onset, extension)
    longest = 0.0
    for i in range(scores.shape[0]):
        for j in range(scores.shape[1]):
            longest = max(longest, scores[i, j])
    return longest


@njit(nogil=True, cache=True)
def _qmax(rows, columns, shift, embedding, delay, share, onset, extension):
    length = embedding * delay
    sizes = (rows.shape[1] - length, columns.shape[1] - length)
    distances = np.empty(sizes, np.float32)
    _stack_distances(rows, columns, shift, embedding, delay, distances)
    found = np.empty(distances.shape, np.bool_)
    _mutual_neighbors(distances, share, found)
    return _longest_alignment(found, onset, extension)
