"""Retrieval of the versions of a piece from a collection."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn import config_context
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.metrics.pairwise import cosine_distances
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import check_consistent_length, column_or_1d

from skstrf.caching.backend import open_memory
from skstrf.transforms import ChromaTransformer
from skstrf.utils.arrays import is_torch, to_numpy
from skstrf.utils.messages import warn_user
from skstrf.utils.validation import (
    HasMethods,
    Integral,
    StrOptions,
    check_is_fitted,
    checked_whole,
    fit_context,
    validate_tensors,
)
from skstrf.versions.alignment import EMBEDDING, qmax_scores
from skstrf.versions.features import equalize, fourier_magnitudes, stretch, trim_silence

__all__ = ["VersionRetriever"]

# Frames to which pieces are stretched, and queries whose alignments are computed at once.
N_FRAMES = 128
_BLOCK = 4


class VersionRetriever(TransformerMixin, BaseEstimator):
    """Retrieval of the versions of a piece, such as covers of a song, from a collection.

    Pieces are sounds of any length, or tensors (pitch class, time), and are compared by the order
    of their pitch classes, which versions share whatever their key, tempo and instruments are.

    Parameters
    ----------
    representation : transformer or None, default=None
        Representation of every piece. For all distances but "embedding"
        it is fitted and applied to one piece at a time, and returns tensors of shape
        (1, n_pitch_classes, n_frames), whose first axis is circular. It may begin with an
        `AudioLoader`; then pieces are paths of sound files. None is a `ChromaTransformer` of
        sounds at 16 kHz, with 15.6 frames per second. For "embedding" it is fitted to the whole
        collection and returns a vector, or tensors of one shape, for every piece.
    distance : {"2dftm", "qmax", "both", "embedding"}, default="2dftm"
        Distance between two pieces. "2dftm": cosine distance of the magnitudes of the
        two-dimensional Fourier transforms of chromagrams. "qmax": inverse of the longest
        alignment in the cross recurrence of chromagrams. "both": mean of the ranks that both
        distances give to the piece, divided by the number of pieces. "embedding": cosine distance
        of the output of `representation`.
    key_invariant : bool, default=True
        Whether transposed pieces are at the same distance. Not used for "embedding".
    tempo_invariant : bool, default=True
        Whether pieces are first stretched to 128 frames. If not, "qmax" aligns all frames, whose
        time grows with the product of both lengths, and "2dftm" takes the median over excerpts of
        128 frames; all pieces must then have the same frame rate. Not used for "embedding".
    n_jobs : int or None, default=None
        Number of threads that compute features and alignments. None means 1, and -1 all cores.
    memory : str, PathLike, joblib.Memory or None, default=None
        Folder in which alignments of "qmax" and "both" are cached, in blocks of four queries, so
        that an interrupted run continues with those that are missing.
    verbose : bool, default=False
        Whether to show progress bars.

    Attributes
    ----------
    works_ : ndarray of shape (n_pieces,) or None
        Work of which each piece of the collection is a version, if given to `fit`.
    features_ : ndarray of shape (n_pieces, n_features) or None
        Fixed-length features of the collection; None for "qmax".
    chroma_ : list of ndarray of shape (n_pitch_classes, n_frames), or None
        Chromagrams of the collection for "qmax" and "both".
    representation_ : transformer or None
        Fitted representation for "embedding".
    n_pitch_classes_ : int or None
        Number of pitch classes; None for "embedding".
    input_shape_ : tuple of int
        Shape of one piece, if the collection is an array.
    n_features_in_ : int
        Length of axis 1, if the collection is an array.

    See Also
    --------
    skstrf.versions.retrieval_scores : Scores of the distances that are found.

    Notes
    -----
    *Input.* A list holds pieces of any lengths; an array of sounds or tensors must have the shape
    of the array seen in fit. All sounds must have the sampling rate of `representation`: one that
    is wrong is a change of key and tempo. `AudioLoader` resamples files to one rate.

    *Loudness.* Frames at both ends that are 30 dB below the loudest are left out, and every frame
    is divided by its maximum, so that loudness does not count.

    *Special cases.* A silent piece has no pitch: there is a warning, and it is at the largest
    possible distance from all pieces (1 for "2dftm", infinity for "qmax"). Pieces of no more than
    9 frames cannot be aligned and are an error for "qmax" and "both". A query that is in the
    collection finds itself first, unless the queries are None.

    *Symmetry.* The distance "qmax" is the square root of the number of moments of the piece of the
    collection, divided by Qmax; it is symmetric for `tempo_invariant`. Ranks are not symmetric.

    References
    ----------
    .. [1] J. Serra, X. Serra and R. G. Andrzejak, "Cross recurrence quantification for cover song
       identification", New Journal of Physics 11, 093017, 2009.
    .. [2] T. Bertin-Mahieux and D. P. W. Ellis, "Large-scale cover song recognition using the 2D
       Fourier transform magnitude", ISMIR, 2012.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf import VersionRetriever
    >>> chroma = np.random.default_rng(0).random((4, 12, 200))
    >>> retriever = VersionRetriever(distance="qmax").fit(chroma, ["a", "b", "c", "d"])
    >>> slow = np.repeat(np.roll(chroma[2], 5, axis=0), 2, axis=1)  # other key, half the tempo
    >>> indices = retriever.rank([slow])
    >>> str(retriever.works_[indices[0, 0]])
    'c'
    """

    _parameter_constraints: dict = {
        "representation": [HasMethods(["fit", "transform"]), None],
        "distance": [StrOptions({"2dftm", "qmax", "both", "embedding"})],
        "key_invariant": ["boolean"],
        "tempo_invariant": ["boolean"],
        "n_jobs": [Integral, None],
        "memory": [str, HasMethods(["cache"]), HasMethods(["__fspath__"]), None],
        "verbose": ["boolean"],
    }

    def __init__(
        self,
        representation=None,
        *,
        distance="2dftm",
        key_invariant=True,
        tempo_invariant=True,
        n_jobs=None,
        memory=None,
        verbose=False,
    ):
        self.representation = representation
        self.distance = distance
        self.key_invariant = key_invariant
        self.tempo_invariant = tempo_invariant
        self.n_jobs = n_jobs
        self.memory = memory
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None):
        """Compute the features of a collection.

        Parameters
        ----------
        X : array-like of shape (n_pieces, n_times), or list
            Sounds of the collection, or tensors of shape (n_pieces, n_pitch_classes, n_frames).
            The pieces of a list may differ in length, and may be paths if `representation` reads
            files.
        y : array-like of shape (n_pieces,) or None, default=None
            Work of which each piece is a version.

        Returns
        -------
        VersionRetriever
            This object.

        Raises
        ------
        ValueError
            If pieces contain NaN or infinity, are too short, or differ in their pitch classes.
        """
        pieces = self._check(X, reset=True)
        if y is not None:
            y = column_or_1d(y, warn=True)
            check_consistent_length(pieces, y)
        self.works_ = y
        self.representation_: Any = None
        self.n_pitch_classes_: int | None = None
        if self.distance == "embedding":
            if self.representation is None:
                raise ValueError(
                    'distance="embedding" compares vectors: give the transformer that computes '
                    "them as representation."
                )
            self.representation_ = clone(self.representation).fit(pieces, y)
        self.features_: Any
        self.chroma_: Any
        self.features_, self.chroma_ = self._features(pieces)
        return self

    def distances(self, X=None):
        """Return the distances of queries to all pieces of the collection.

        Parameters
        ----------
        X : array-like or list of pieces, or None, default=None
            Queries, as in `fit`. None stands for the pieces of the collection.

        Returns
        -------
        ndarray of shape (n_queries, n_pieces)
            Distances, of the dtype of the features. Without `X` the diagonal holds the distance
            of every piece to itself, which `retrieval_scores` leaves out.
        """
        check_is_fitted(self)
        itself = X is None
        if itself:
            features, chroma = self.features_, self.chroma_
        else:
            features, chroma = self._features(self._check(X, reset=False))
        parts = []
        if features is not None:
            # Rounding errors make the distance of equal vectors slightly negative.
            # A copy, because scikit-learn sets those of one array to itself to 0, also of silence.
            collection = self.features_.copy() if itself else self.features_
            parts.append(np.maximum(cosine_distances(features, collection), 0))
        if chroma is not None:
            parts.append(self._alignments(chroma, itself=itself))
        if len(parts) == 1:
            return parts[0]
        return np.mean([_ranks(part) for part in parts], axis=0).astype(parts[0].dtype)

    def transform(self, X):
        """Return the distances of queries to all pieces of the collection.

        Parameters
        ----------
        X : array-like or list of pieces
            Queries, as in `fit`.

        Returns
        -------
        ndarray of shape (n_queries, n_pieces)
            Distances, see `distances`.
        """
        check_is_fitted(self)
        return self.distances(X)

    def kneighbors(self, X=None, n_neighbors=5, return_distance=True):
        """Return the pieces of the collection that are nearest to queries.

        Parameters
        ----------
        X : array-like or list of pieces, or None, default=None
            Queries, as in `fit`. None stands for the pieces of the collection, none of which is
            its own neighbor.
        n_neighbors : int, default=5
            Number of pieces to return.
        return_distance : bool, default=True
            Whether to return the distances.

        Returns
        -------
        distances : ndarray of shape (n_queries, n_neighbors)
            Distances in ascending order, if `return_distance`.
        indices : ndarray of shape (n_queries, n_neighbors)
            Indices of the pieces in the collection.

        Raises
        ------
        ValueError
            If the collection has fewer than `n_neighbors` (other) pieces.
        """
        check_is_fitted(self)
        n_pieces = len(self.chroma_ if self.features_ is None else self.features_)
        n_others = n_pieces - (X is None)
        n_neighbors = checked_whole(n_neighbors, "n_neighbors")
        if n_neighbors > n_others:
            raise ValueError(
                f"n_neighbors={n_neighbors}, but the collection has {n_others} pieces to be found."
            )
        if self.chroma_ is None and n_neighbors < n_others:
            neighbors = NearestNeighbors(metric="cosine", algorithm="brute").fit(self.features_)
            queries = None if X is None else self._features(self._check(X, reset=False))[0]
            distances, indices = neighbors.kneighbors(queries, n_neighbors)
            distances = np.maximum(distances, 0)
        else:
            table = self.distances(X)
            order = np.argsort(table, axis=1, kind="stable")
            if X is None:
                itself = np.arange(n_pieces)[:, None]
                order = order[order != itself].reshape(n_pieces, n_others)
            indices = order[:, :n_neighbors]
            distances = np.take_along_axis(table, indices, axis=1)
        return (distances, indices) if return_distance else indices

    def rank(self, X=None):
        """Return all pieces of the collection in the order of their distance to queries.

        Parameters
        ----------
        X : array-like or list of pieces, or None, default=None
            Queries, as in `fit`. None stands for the pieces of the collection, each of which is
            left out of its own list.

        Returns
        -------
        ndarray of shape (n_queries, n_pieces), or (n_pieces, n_pieces - 1)
            Indices of the pieces, the nearest first.
        """
        check_is_fitted(self)
        n_pieces = len(self.chroma_ if self.features_ is None else self.features_)
        return self.kneighbors(X, n_pieces - (X is None), return_distance=False)

    def _check(self, X: Any, *, reset: bool) -> Any:
        """Return an array of pieces, or a list whose sounds and tensors are arrays."""
        if not isinstance(X, list | tuple):
            X = validate_tensors(self, to_numpy(X) if is_torch(X) else X, reset=reset)
            if X.ndim > 3 and self.distance != "embedding":
                raise ValueError(f"{_WRONG_AXES}; got an array of shape {X.shape}.")
            return X
        if not X:
            raise ValueError("X holds no piece: 0 sample(s), a minimum of 1 is required.")
        pieces: list[Any] = [
            p if isinstance(p, str | os.PathLike) else _checked(p, i) for i, p in enumerate(X)
        ]
        shapes = {p.shape if isinstance(p, np.ndarray) else None for p in pieces}
        if len(shapes) == 1 and None not in shapes and reset:
            return self._check(np.stack(pieces), reset=True)
        return pieces

    def _features(self, pieces: Any) -> tuple[Any, Any]:
        """Return fixed-length features and chromagrams, None for those that are not needed."""
        if self.distance == "embedding":
            vectors = to_numpy(self.representation_.transform(pieces))
            return vectors.reshape(len(vectors), -1), None
        chroma = self._chromagrams(pieces)
        if self.distance == "2dftm":
            return self._magnitudes(chroma), None
        for number, piece in enumerate(chroma):
            if piece.shape[1] <= EMBEDDING:
                raise ValueError(
                    f"Piece {number} has {piece.shape[1]} frames, and alignments need more than "
                    f'{EMBEDDING}: leave it out, raise the frame rate, or use distance="2dftm".'
                )
        features = self._magnitudes(chroma) if self.distance == "both" else None
        if self.tempo_invariant:
            chroma = [stretch(piece, N_FRAMES) for piece in chroma]
        return features, chroma

    def _chromagrams(self, pieces: Any) -> list[np.ndarray]:
        chroma = list(self._in_threads(self._chromagram, pieces, "Features"))
        numbers = {len(piece) for piece in chroma}
        if self.n_pitch_classes_ is not None:
            numbers.add(self.n_pitch_classes_)
        if len(numbers) > 1:
            raise ValueError(
                f"Pieces have {' and '.join(map(str, sorted(numbers)))} pitch classes: compute "
                "the shape of all tensors with the same transformer."
            )
        (self.n_pitch_classes_,) = numbers
        silent = [number for number, piece in enumerate(chroma) if not piece.any()]
        if silent:
            warn_user(
                f"Pieces without sound: {', '.join(map(str, silent[:5]))}"
                f"{', ...' if len(silent) > 5 else ''}. They are last in every list: leave "
                "them out."
            )
        # The ends depend on the recording, and would change the tempo of the rest; frames are made
        # equally loud only then, because the decay of the last note is of no weight.
        return [equalize(trim_silence(piece)) for piece in chroma]

    def _chromagram(self, piece: Any) -> np.ndarray:
        """Return the chromagram of one sound or file; tensors are chromagrams already."""
        if isinstance(piece, np.ndarray) and piece.ndim == 2:
            chroma = piece
        else:
            representation = (
                default_chroma() if self.representation is None else self.representation
            )
            batch = piece[None] if isinstance(piece, np.ndarray) else [piece]
            with config_context(transform_output="default"):
                found = to_numpy(clone(representation).fit(batch).transform(batch))
            if found.ndim != 3:
                raise ValueError(f"{_WRONG_AXES}; got {found.ndim - 1} axes for each piece.")
            chroma = found[0]
        if (chroma < 0).any():
            raise ValueError(
                "Tensors must not be negative, because they are energies of pitch classes: use a "
                "representation without logarithm or standardization."
            )
        return chroma

    def _magnitudes(self, chroma: Sequence[np.ndarray]) -> np.ndarray:
        options = {"key_invariant": self.key_invariant, "tempo_invariant": self.tempo_invariant}
        vectors = [fourier_magnitudes(piece, N_FRAMES, **options) for piece in chroma]
        return np.array(vectors, dtype=np.result_type(*chroma))

    def _alignments(self, queries: list[np.ndarray], *, itself: bool) -> np.ndarray:
        """Return the distances of Qmax; within the collection each pair is aligned once."""
        pieces = self.chroma_
        align = open_memory(self.memory).cache(_align_block, mmap_mode=None)
        starts = range(0, len(queries), _BLOCK)

        def block(start: int) -> np.ndarray:
            others = pieces[start:] if itself else pieces
            return align(queries[start : start + _BLOCK], others, bool(self.key_invariant))

        longest = np.zeros((len(queries), len(pieces)))
        for start, found in zip(
            starts, self._in_threads(block, starts, "Alignments"), strict=True
        ):
            rows = slice(start, start + _BLOCK)
            if itself:
                longest[rows, start:] = found
                longest[start:, rows] = found.T
            else:
                longest[rows] = found
        n_moments = np.array([piece.shape[1] - EMBEDDING for piece in pieces])
        is_silent = np.array([not piece.any() for piece in pieces])
        longest[:, is_silent] = 0
        longest[[not query.any() for query in queries]] = 0
        with np.errstate(divide="ignore"):
            distances = np.sqrt(n_moments) / longest
        return distances.astype(np.result_type(*queries))

    def _in_threads(self, function: Any, items: Any, name: str) -> Any:
        from tqdm import tqdm

        parallel = Parallel(n_jobs=self.n_jobs, prefer="threads", return_as="generator")
        outcomes = parallel(delayed(function)(item) for item in items)
        return tqdm(outcomes, total=len(items), desc=name, disable=not self.verbose)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


_WRONG_AXES = (
    "Pieces must be sounds of one axis or tensors of two, (pitch class, time), which is also the "
    "shape that representation must return"
)


def default_chroma() -> ChromaTransformer:
    """Return the chromagram of the guide: resolves semitones above 130 Hz, middle octaves."""
    return ChromaTransformer(
        frame_rate=15.625, n_fft=4096, ctroct=5.5, octwidth=1.0, norm=None, tuning=0.0
    )


def _checked(piece: Any, number: int) -> np.ndarray:
    array = to_numpy(piece)
    if array.dtype.kind not in "fiub" or array.ndim == 0 or array.size == 0:
        raise ValueError(
            f"Piece {number} must be an array of real numbers, with one or more axes, or a path; "
            f"got dtype {array.dtype} and shape {array.shape}. Reshape your data if X is a single "
            "piece."
        )
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"Piece {number} contains NaN or infinity: repair it, or leave it out.")
    return array


def _ranks(distances: np.ndarray) -> np.ndarray:
    """Return the rank of each piece in each row as a share of the pieces; equal ones share it."""
    from scipy.stats import rankdata

    return rankdata(distances, axis=1, method="average") / distances.shape[1]


def _align_block(
    queries: list[np.ndarray], pieces: list[np.ndarray], key_invariant: bool
) -> np.ndarray:
    return np.stack([qmax_scores(query, pieces, key_invariant=key_invariant) for query in queries])
