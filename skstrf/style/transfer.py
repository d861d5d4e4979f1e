"""Style transfer by optimization of every sound."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state

from skstrf.neural import CNNClassifier
from skstrf.style.base import ProgressReporter, StyleEstimator
from skstrf.style.controls import equalize, mix
from skstrf.style.domains import choose_domain, fitted_for
from skstrf.style.judges import content_correlation
from skstrf.style.metrics import StyleMetrics
from skstrf.style.objectives import EnvelopeObjective, check_network, shortest_sound
from skstrf.style.optimization import OptimizeResult, minimize
from skstrf.style.sounds import (
    at_level,
    block_starts,
    fill_silence,
    join_blocks,
    keep_level,
    list_sounds,
    shaped_noise,
)
from skstrf.utils.arrays import resolve_device
from skstrf.utils.messages import warn_user
from skstrf.utils.validation import (
    Integral,
    Interval,
    Real,
    StrOptions,
    check_is_fitted,
    fit_context,
)

__all__ = ["StyleTransfer"]

# Level of the style in the initial mix in dB.
_MIX_LEVEL = -6.0
# Number of rounds between which the correlation with the content is corrected, and what is added
# to the wanted correlation, as the last round ends near it.
_N_ROUNDS, _CORRELATION_MARGIN = 3, 0.01


class StyleTransfer(StyleEstimator):
    r"""Style transfer by optimization of every sound.

    `fit` takes sounds of the style. `transform` changes each content until its activations are
    close to those of the content and their Gram matrices close to those of the style. It
    minimizes

    .. math:: \alpha \frac{\mathcal{L}_{content}(x)}{\mathcal{L}_{content}(s)}
              + \beta \frac{\mathcal{L}_{style}(x)}{\mathcal{L}_{style}(c)}

    with the content weight :math:`\alpha`, the style weight :math:`\beta`, and the losses of [1]_
    (equations 10 to 16 of [2]_), each relative to its value between the untouched content
    :math:`c` and the untouched style :math:`s`.

    Parameters
    ----------
    representation : transformer or None, default=None
        Input of the network. Its `sample_rate` is that of all sounds. None stands for
        :math:`\log(1 + |STFT|)` of sounds at 16 kHz in windows of about 93 ms.
    network : {"auto", "envelopes", "random", "cortical"} or CNNClassifier, default="auto"
        Network whose activations are compared. "envelopes" compares the levels of 32 frequency
        bands: the content is their course relative to the surrounding second, and the style their
        mean, variation, skewness, correlation and modulation, the mean products of their
        logarithms, and the Gram matrix of "random". "random" is one layer of random filters over
        time with all other axes of the representation as its channels [3]_. "cortical" takes the
        statistics of auditory cortex as the style [4]_, see
        :class:`~skstrf.texture.CorticalStatistics`, and its envelopes as the content. "envelopes"
        and "cortical" use only the sampling rate of `representation`. A
        fitted classifier provides its convolutional layers; it must have been fitted on the
        tensors of `representation`. "auto" is "envelopes" without a representation and "random"
        with one.
    content_weight, style_weight : float or None, default=None and 1.0
        Weights of the two losses, of which one may be 0. A content weight of None is 16 for
        "envelopes" (1 if `content_correlation` is None) and 0.05 for all other networks. With a
        content weight of 0 and ``init="noise"`` the texture of the style is synthesized.
    content_correlation : float or None, default=0.7
        Correlation with the content that "envelopes" keeps, above 0 and at most 1: the content
        loss is 0 as soon as the bands have it. It is corrected twice on the way so that the
        "local_correlation" of :meth:`score_table` approaches this value; smaller values leave
        more to the style. None always increases the correlation further. Other networks ignore
        it.
    style_layers : sequence of str, dict of str to float or None, default=None
        Layers whose Gram matrices are compared, or groups of the statistics: those of
        :class:`~skstrf.texture.CorticalStatistics` for "cortical", and "gram", "levels", "mean",
        "variation", "skewness", "correlation" and "modulation" for "envelopes". A dict gives
        their weights. None selects all with equal weights; of "envelopes", "levels" has 4 times
        and "gram" twice the weight of the others.
    content_layers : sequence of str or None, default=None
        Layers of a classifier whose activations are compared. None selects the second-to-last
        convolutional layer.
    n_filters : int or None, default=None
        Number of filters of the random layer. None is the limit of infinitely many filters in
        closed form, which is much faster than the usual 4096 filters and deterministic.
    kernel_size : int, default=11
        Length of the random filters in frames.
    init : {"auto", "content", "mix", "noise", "style"}, default="auto"
        Initial sound of the optimization. "mix" is the content with the long-term spectrum of the
        style and, 6 dB below it, the style. For "envelopes" with a `content_correlation`, the
        style is as loud as this correlation permits, and the spectrum of the content is left as
        it is if the style is then nearer. Noise has the long-term spectrum of the style. "auto"
        is "mix" for "envelopes" and "content" for all other networks.
    domain : {"auto", "waveform", "spectrogram"}, default="auto"
        Variable of the optimization: the waveform, or the representation, which is inverted at
        the end with the phase of the content. "auto" selects the waveform if the representation
        is differentiable.
    optimizer : {"lbfgs", "adam"}, default="lbfgs"
        Optimization algorithm.
    lr : float, default=0.01
        Learning rate of Adam, relative to the root mean square of the initial variable.
    max_iter : int, default=300
        Maximum number of iterations per block.
    tol : float, default=1e-3
        Relative tolerance: the optimization stops when ten iterations decrease the loss by less
        than this share.
    block_duration : float, default=10.0
        Maximum duration of a block in seconds. Longer contents are processed in overlapping
        blocks, which bounds the memory.
    overlap : float, default=0.1
        Share of a block that overlaps with the next, at most 1/3.
    callback : callable or None, default=None
        Function called after every iteration with a dict of ``sound``, ``channel``, ``block``,
        ``iteration``, ``loss``, ``content`` and ``style``. If it raises StopIteration, the
        optimization of the block ends.
    device : str, default="auto"
        Device of the computation: "cpu", "cuda", or "auto", which selects CUDA if available.
    random_state : int, RandomState instance or None, default=None
        Seed of random filters and noise. On the CPU equal integers give equal results.
    verbose : bool, default=False
        Whether to show a progress bar.

    Attributes
    ----------
    representation_ : transformer
        The fitted representation.
    styles_ : list of ndarray of shape (n_times,)
        Channels of the styles, scaled to the internal level.
    loss_curve_ : ndarray of shape (n_iter + 1, 3)
        Total, content and style loss of the last block from the initial sound on. Available after
        `transform`.
    loss_curves_ : list of list of ndarray
        Losses of every sound, with one array per channel and block.
    n_iter_ : int
        Number of iterations of the last block.
    interrupted_ : bool
        Whether Ctrl-C ended the last `transform`.
    n_features_in_ : int
        Number of samples of the longest style.

    See Also
    --------
    FastStyleTransfer : One pass of a network that is trained for several styles.
    skstrf.inspection.StyleTransferDisplay : Plot of spectrograms, texture and loss.

    Notes
    -----
    During the optimization every sound has a root mean square of 0.1. Results have the level of
    their content, but are attenuated where they would be clipped. The channels of a sound are
    optimized separately, each from its own phase, toward the style of all channels of `X`
    together.

    Ctrl-C in ``transform`` raises a RuntimeWarning and returns the best result so far, and the
    remaining contents unchanged.

    References
    ----------
    .. [1] L. A. Gatys, A. S. Ecker and M. Bethge, "Image style transfer using convolutional
       neural networks", CVPR, 2414-2423, 2016.
    .. [2] E. Eremeeva, "Transform analysis and music style transfer with deep neural
       networks", ATIAM report, IRCAM, 2017, section 3.1.
    .. [3] D. Ulyanov and V. Lebedev, "Audio texture synthesis and style transfer", 2016,
       https://dmitryulyanov.github.io/audio-texture-synthesis-and-style-transfer/
    .. [4] J. H. McDermott and E. P. Simoncelli, "Sound texture perception via statistics of the
       auditory periphery: evidence from sound synthesis", Neuron 71, 926-940, 2011.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf import StyleTransfer
    >>> rng = np.random.default_rng(0)
    >>> clicks = np.zeros((1, 8000))
    >>> clicks[0, ::1600] = 1
    >>> hiss = 0.1 * rng.standard_normal((1, 8000))
    >>> transfer = StyleTransfer(max_iter=20, random_state=0).fit(hiss)
    >>> transfer.transform(clicks).shape
    (1, 8000)
    >>> bool(transfer.loss_curve_[-1, 0] < 0.5 * transfer.loss_curve_[0, 0])
    True
    """

    _parameter_constraints: dict = {
        **StyleEstimator._parameter_constraints,
        "network": [StrOptions({"auto", "envelopes", "random", "cortical"}), CNNClassifier],
        "content_weight": [Interval(Real, 0, None, closed="left"), None],
        "style_layers": ["array-like", dict, None],
        "content_correlation": [Interval(Real, 0, 1, closed="right"), None],
        "content_layers": ["array-like", None],
        "n_filters": [Interval(Integral, 1, None, closed="left"), None],
        "init": [StrOptions({"auto", "content", "mix", "noise", "style"})],
        "domain": [StrOptions({"auto", "waveform", "spectrogram"})],
        "optimizer": [StrOptions({"lbfgs", "adam"})],
        "tol": [Interval(Real, 0, None, closed="left")],
        "overlap": [Interval(Real, 0, 1 / 3, closed="right")],
    }

    def __init__(
        self,
        representation=None,
        network="auto",
        *,
        content_weight=None,
        style_weight=1.0,
        content_correlation=0.7,
        style_layers=None,
        content_layers=None,
        n_filters=None,
        kernel_size=11,
        init="auto",
        domain="auto",
        optimizer="lbfgs",
        lr=0.01,
        max_iter=300,
        tol=1e-3,
        block_duration=10.0,
        overlap=0.1,
        callback=None,
        device="auto",
        random_state=None,
        verbose=False,
    ):
        self.representation = representation
        self.network = network
        self.content_weight = content_weight
        self.style_weight = style_weight
        self.content_correlation = content_correlation
        self.style_layers = style_layers
        self.content_layers = content_layers
        self.n_filters = n_filters
        self.kernel_size = kernel_size
        self.init = init
        self.domain = domain
        self.optimizer = optimizer
        self.lr = lr
        self.max_iter = max_iter
        self.tol = tol
        self.block_duration = block_duration
        self.overlap = overlap
        self.callback = callback
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=False)
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
            If a style is silent, too short or not finite, both weights are 0, or the network, its
            layers and the representation do not match.
        """
        self._check_weights()
        styles = list_sounds(X, "style")
        representation = self._default_representation()
        choose_domain(self.domain, representation, self._network_name())
        self.n_features_in_ = max(len(style) for style in styles)
        self.representation_ = fitted_for(representation, self.n_features_in_)
        check_network(self, self.representation_)
        self._check_lengths(styles, "style")
        self.styles_ = [at_level(style) for style in styles]
        self._curves: list[list[np.ndarray]] = []
        self._interrupted: list[int] = []
        return self

    @property
    def loss_curves_(self) -> list[list[np.ndarray]]:
        """Losses of the last transform."""
        check_is_fitted(self)
        if not self._curves:
            raise AttributeError("loss curves are available only after transform.")
        return [list(sound) for sound in self._curves]

    @property
    def loss_curve_(self) -> np.ndarray:
        """Losses of the last block of the last transform."""
        return self.loss_curves_[-1][-1]

    @property
    def n_iter_(self) -> int:
        """Number of iterations of the last block of the last transform."""
        return len(self.loss_curve_) - 1

    @property
    def interrupted_(self) -> bool:
        """Whether Ctrl-C ended the last transform."""
        check_is_fitted(self)
        return bool(self._interrupted)

    def _metrics(self) -> StyleMetrics:
        return StyleMetrics(self.styles_, self.representation_.sample_rate)

    def _check_contents(self, X: Any) -> np.ndarray:
        contents = super()._check_contents(X)
        self._check_lengths(contents, "content")
        return contents

    def _check_lengths(self, sounds: Any, name: str) -> None:
        least = shortest_sound(self, self.representation_)
        for i, sound in enumerate(sounds):
            if sound.shape[-1] < least:
                rate = self.representation_.sample_rate
                raise ValueError(
                    f"sound {i} of the {name} lasts {sound.shape[-1] / rate:.3g} s, but the "
                    f"network requires {least / rate:.3g} s: use a longer sound"
                    + (
                        ", or a smaller kernel_size."
                        if self._network_name() != "cortical"
                        else "."
                    )
                )

    def _transform(self, contents: np.ndarray) -> np.ndarray:
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        blockwise = _BlockwiseTransfer(self, contents.shape[-1])
        # The same lists, as transform must not replace attributes.
        self._curves.clear()
        self._interrupted.clear()
        result = contents.copy()
        n_channels = 1 if contents.ndim == 2 else contents.shape[1]
        n_blocks = len(blockwise.starts)
        n_iterations = len(contents) * n_channels * n_blocks * self.max_iter
        with ProgressReporter(
            self.callback, n_iterations, "style transfer", self.verbose
        ) as progress:
            for i, content in enumerate(contents):

                def report(channel: int, block: int, values: dict[str, Any], sound: int = i):
                    # A block that ended early counts as complete.
                    n_before = ((sound * n_channels + channel) * n_blocks + block) * self.max_iter
                    place = {"sound": sound, "channel": channel, "block": block}
                    progress.report(n_before + values["iteration"], place | values)

                result[i], results = self._transform_sound(blockwise, content, seed, report)
                self._curves.append([one.curve for one in results])
                if results[-1].interrupted:
                    self._interrupted.append(i)
                    warn_user(
                        f"interrupted in sound {i}: the best result so far is returned, and the "
                        "remaining contents unchanged.",
                        RuntimeWarning,
                    )
                    break
        return result

    def _transform_sound(
        self, blockwise: _BlockwiseTransfer, content: np.ndarray, seed: int, report: Callable
    ) -> tuple[np.ndarray, list[OptimizeResult]]:
        results: list[OptimizeResult] = []

        def transform_channel(k: int, channel: np.ndarray) -> np.ndarray:
            if results and results[-1].interrupted:
                return channel
            start = self._initial_sound(channel, np.random.default_rng(seed))
            sound, found = blockwise.run(
                channel, start, lambda block, values: report(k, block, values)
            )
            results.extend(found)
            return sound

        return keep_level(content, transform_channel), results

    def _init(self) -> str:
        """Kind of the initial sound, which "auto" leaves open."""
        if self.init == "auto":
            return "mix" if self._network_name() == "envelopes" else "content"
        return self.init

    def _initial_sound(self, content: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        style, init = self.styles_[0], self._init()
        if init == "content" or not content.any():
            return content
        if init == "noise":
            return shaped_noise(style, len(content), rng)
        if not style[: len(content)].any():  # skip a pause that is longer than the content
            style = np.roll(style, -int(np.flatnonzero(style)[0]))
        if init == "mix":
            sound = mix(equalize(content, style), style, _MIX_LEVEL)
            return sound * (np.linalg.norm(content) / np.linalg.norm(sound))
        return at_level(np.resize(style, len(content)))


class _BlockwiseTransfer:
    """Transfers the style to channels of one length, block by block."""

    def __init__(self, transfer: StyleTransfer, n_times: int):
        self._transfer, self._n_times = transfer, n_times
        longest = max(1, round(transfer.block_duration * transfer.representation_.sample_rate))
        self.starts, self._length = block_starts(n_times, longest, transfer.overlap)
        device = resolve_device(transfer.device)
        kind = choose_domain(transfer.domain, transfer.representation_, transfer._network_name())
        self._domain = transfer._make_domain(kind, self._length, device)
        self._objective = transfer._make_objective(kind, transfer.styles_, self._length, device)
        self._keeps_correlation = (
            isinstance(self._objective, EnvelopeObjective)
            and transfer.content_correlation is not None
            and transfer._weights()[0] > 0
        )
        self._goal = getattr(self._objective, "goal", 1.0)

    def run(
        self, content: np.ndarray, start: np.ndarray, report: Callable[[int, dict[str, Any]], Any]
    ) -> tuple[np.ndarray, list[OptimizeResult]]:
        blocks: list[np.ndarray] = []
        results: list[OptimizeResult] = []
        style = np.resize(self._transfer.styles_[0], self._n_times)
        for k, i in enumerate(self.starts):
            block = content[i : i + self._length]
            if not (results and results[-1].interrupted):
                part = slice(i, i + self._length)
                block, result = self._transform_block(
                    block, start[part], style[part], lambda values, k=k: report(k, values)
                )
                results.append(result)
            blocks.append(block)
        return join_blocks(blocks, self.starts, self._n_times), results

    def _transform_block(self, content, start, style, report) -> tuple[np.ndarray, OptimizeResult]:
        transfer, domain = self._transfer, self._domain
        content, start = fill_silence(content), fill_silence(start)
        whole = np.resize(transfer.styles_[0], len(content))
        with torch.no_grad():
            tensors = [domain.tensor(domain.variable(x)) for x in (content, whole)]
        self._objective.begin(*tensors)
        if self._keeps_correlation:
            result = self._keep_correlation(content, start, fill_silence(style), report)
        else:
            result = self._minimize(domain.variable(start), transfer.max_iter, report)
        if not np.isfinite(result.curve).all():
            remedy = "a smaller lr" if transfer.optimizer == "adam" else "optimizer='adam'"
            warn_user(
                "the loss became NaN or infinite; the best sound before that is returned. Try "
                f"{remedy}.",
                RuntimeWarning,
            )
        return domain.sound(result.x, content), result

    def _minimize(self, variable: torch.Tensor, max_iter: int, report: Callable) -> OptimizeResult:
        transfer = self._transfer
        return minimize(
            lambda x: self._objective(self._domain.tensor(x)),
            variable,
            weights=transfer._weights(),
            optimizer=transfer.optimizer,
            max_iter=max_iter,
            tol=transfer.tol,
            lr=transfer.lr,
            report=report,
        )

    def _keep_correlation(self, content, start, style, report) -> OptimizeResult:
        """Minimize in rounds, before each of which the goal is corrected by the correlation."""
        transfer, objective = self._transfer, self._objective
        assert isinstance(objective, EnvelopeObjective)
        objective.goal = self._goal
        if transfer._init() == "mix":
            start = objective.loudest_mix(content, style)
        variable = self._domain.variable(start)
        curves: list[np.ndarray] = []
        stopped = False

        def report_all(values: dict[str, Any]) -> None:
            nonlocal stopped
            done = sum(len(curve) for curve in curves)
            if done and values["iteration"] == 0:  # the end of the round before
                return
            try:
                report(values | {"iteration": max(0, done - 1) + values["iteration"]})
            except StopIteration:
                stopped = True
                raise

        ends = np.linspace(0, transfer.max_iter, _N_ROUNDS + 1).round().astype(int)
        for n_iterations in np.diff(ends[np.r_[True, np.diff(ends) > 0]]).tolist():
            if curves:
                found = content_correlation(
                    content,
                    self._domain.sound(variable, content),
                    sample_rate=transfer.representation_.sample_rate,
                )
                if np.isfinite(found):
                    wanted = transfer.content_correlation + _CORRELATION_MARGIN
                    objective.goal = float(np.clip(objective.goal + wanted - found, 0, 1))
            result = self._minimize(variable, n_iterations, report_all)
            variable = result.x
            curves.append(result.curve[1:] if curves else result.curve)
            if result.interrupted or stopped:
                break
        return OptimizeResult(variable, np.concatenate(curves), result.interrupted)
