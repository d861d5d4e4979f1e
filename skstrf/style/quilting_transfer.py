"""Style transfer by image quilting along time."""

from __future__ import annotations

import numpy as np

from skstrf.style.base import StyleEstimator
from skstrf.style.metrics import StyleMetrics
from skstrf.style.quilting import StylePieces, quilt
from skstrf.style.sounds import at_level, keep_level, list_sounds
from skstrf.utils.validation import Interval, Real, fit_context

__all__ = ["QuiltingStyleTransfer"]


class QuiltingStyleTransfer(StyleEstimator):
    """Style transfer by image quilting: pieces of the style in the order of the content.

    The result consists of pieces of the style. Each is chosen so that it resembles the content at
    its place and continues the piece before it, and is joined to that piece along the seam through
    their common frames where both differ least [1]_. The texture is therefore that of the style
    itself; of the content only the course of its levels remains.

    Parameters
    ----------
    sample_rate : float, default=16000
        Sampling rate of the sounds in Hz.
    patch_duration : float, default=0.2
        Duration of a piece in seconds. Longer pieces keep more of the style.
    patch_overlap : float, default=1/3
        Share of a piece that overlaps with the next, above 0 and at most 1/2.
    content_share : float, default=0.8
        Weight of the resemblance to the content in the choice of a piece, from 0 to 1. The
        remainder is that of the continuation of the piece before.

    Attributes
    ----------
    styles_ : list of ndarray of shape (n_times,)
        Channels of the styles, scaled to the internal level.
    n_features_in_ : int
        Number of samples of the longest style.

    See Also
    --------
    StyleTransfer : Optimization of the sound, which keeps more of the content.

    Notes
    -----
    Pieces are compared by the levels of 16 frequency bands, each with mean 0 and variance 1 over
    time, so that the content and a style with another spectrum are comparable. Frames last about
    93 ms and are 23 ms apart. The channels of a content are transferred separately.

    References
    ----------
    .. [1] A. A. Efros and W. T. Freeman, "Image quilting for texture synthesis and transfer",
       SIGGRAPH, 341-346, 2001.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf import QuiltingStyleTransfer
    >>> rng = np.random.default_rng(0)
    >>> clicks = np.zeros((1, 16000))
    >>> clicks[0, ::3200] = 1
    >>> hiss = 0.1 * rng.standard_normal((1, 16000))
    >>> QuiltingStyleTransfer().fit(hiss).transform(clicks).shape
    (1, 16000)
    """

    _parameter_constraints: dict = {
        "sample_rate": [Interval(Real, 1, 1e9, closed="both")],
        "patch_duration": [Interval(Real, 0, None, closed="neither")],
        "patch_overlap": [Interval(Real, 0, 1 / 2, closed="right")],
        "content_share": [Interval(Real, 0, 1, closed="both")],
    }

    def __init__(
        self, sample_rate=16000, *, patch_duration=0.2, patch_overlap=1 / 3, content_share=0.8
    ):
        self.sample_rate = sample_rate
        self.patch_duration = patch_duration
        self.patch_overlap = patch_overlap
        self.content_share = content_share

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Set the style.

        Parameters
        ----------
        X : array-like, torch.Tensor or dask array, or list of arrays of shape (n_times,)
            Sounds of shape (n_sounds, n_times) or (n_sounds, n_channels, n_times), or mono sounds
            of several lengths. All sounds together are one style.
        y : None
            Ignored.

        Returns
        -------
        self : object
            This object.

        Raises
        ------
        ValueError
            If a style is silent or not finite.
        """
        styles = list_sounds(X, "style")
        self.n_features_in_ = max(len(style) for style in styles)
        self.styles_ = [at_level(style) for style in styles]
        return self

    def _transform(self, contents: np.ndarray) -> np.ndarray:
        pieces = StylePieces(self.styles_, self.sample_rate)

        def transform_channel(_: int, channel: np.ndarray) -> np.ndarray:
            return quilt(
                channel,
                pieces,
                patch_duration=self.patch_duration,
                patch_overlap=self.patch_overlap,
                content_share=self.content_share,
            )

        result = np.stack([keep_level(content, transform_channel) for content in contents])
        return result.astype(contents.dtype, copy=False)

    def _metrics(self) -> StyleMetrics:
        return StyleMetrics(self.styles_, self.sample_rate)
