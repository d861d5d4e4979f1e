"""The work of a transfer: one channel of one recording, block by block."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.utils import check_random_state

from skstrf.neural import CNNClassifier
from skstrf.style.base import StyleEstimator
from skstrf.style.metrics import StyleMetrics, at_level
from skstrf.style.objectives import Objective, check_network, make_objective, shortest_style
from skstrf.style.optimization import Domain, OptimizeResult, choose_domain, descend, fitted_for
from skstrf.style.sounds import (
    LEVEL,
    ProgressReporter,
    block_starts,
    flat_sounds,
    join_blocks,
    log_stft,
    repeat_to,
    restore_level,
    shaped_noise,
)
from skstrf.utils.arrays import resolve_device
from skstrf.utils.validation import (
    HasMethods,
    Integral,
    Interval,
    Real,
    StrOptions,
    check_is_fitted,
    fit_context,
)

__all__ = [
    "Job",
    "StyleTransfer",
    "Worker",
    "audible",
    "starting_sound",
]


# A block quieter than this share of the recording's level gets noise as quiet, since a magnitude
# passes no gradient where there is nothing at all.
_QUIET = 1e-3


class Job(NamedTuple):
    """A content at the level inside, what to start from, and whom to tell."""

    content: np.ndarray
    start: np.ndarray
    report: Callable[[dict[str, Any]], Any] | None = None


class Worker:
    """Transfers contents of one length."""

    def __init__(self, transfer: Any, styles: Sequence[np.ndarray], n_times: int):
        self._transfer, self._styles, self._n_times = transfer, styles, n_times
        rate = transfer.representation_.sample_rate
        longest = max(1, round(transfer.block_duration * rate))
        self.starts, self._length = block_starts(n_times, longest, transfer.overlap)
        self._device = resolve_device(transfer.device)
        kind = choose_domain(transfer.domain, transfer.representation_, transfer.network)
        self._domain = self._make_domain(kind, self._length)
        with torch.no_grad():
            tensors = [self._style_tensor(kind, style) for style in styles]
        self._objective: Objective = make_objective(transfer, tensors, self._length, self._device)

    def _make_domain(self, kind: type[Domain], n_times: int) -> Domain:
        cortical = isinstance(self._transfer.network, str) and self._transfer.network == "cortical"
        representation = self._transfer.representation_
        fitted = None if cortical else fitted_for(representation, n_times)
        return kind(fitted, self._device)

    def _style_tensor(self, kind: type[Domain], style: np.ndarray) -> torch.Tensor:
        """Tensor of a whole style; the receptive fields of the STRF depend on length a little."""
        domain = self._make_domain(kind, len(style))
        return domain.tensor(domain.start(style))

    def run(self, job: Job) -> tuple[np.ndarray, list[OptimizeResult]]:
        """Transfer one channel."""
        blocks: list[np.ndarray] = []
        descents: list[OptimizeResult] = []
        for i in self.starts:
            content, start = (x[i : i + self._length] for x in (job.content, job.start))
            if descents and descents[-1].interrupted:
                blocks.append(content)
                continue
            block, descent = self._block(content, start, job.report)
            blocks.append(block)
            descents.append(descent)
        return join_blocks(blocks, self.starts, self._n_times), descents

    def _block(self, content, start, report) -> tuple[np.ndarray, OptimizeResult]:
        transfer, domain = self._transfer, self._domain
        content, start = audible(content), audible(start)
        style = repeat_to(self._styles[0], len(content))
        with torch.no_grad():
            tensors = [domain.tensor(domain.start(x)) for x in (content, style)]
        self._objective.begin(*tensors)
        descent = descend(
            lambda x: self._objective(domain.tensor(x)),
            domain.start(start),
            weights=(transfer.content_weight, transfer.style_weight),
            optimizer=transfer.optimizer,
            max_iter=transfer.max_iter,
            tol=transfer.tol,
            lr=transfer.lr,
            report=report,
        )
        if not np.isfinite(descent.curve).all():
            remedy = "a smaller lr" if transfer.optimizer == "adam" else "optimizer='adam'"
            warnings.warn(
                "the loss became NaN or infinite: the best sound before that is returned. Take "
                f"{remedy}.",
                RuntimeWarning,
                stacklevel=5,
            )
        return domain.sound(descent.variable, content), descent


def starting_sound(
    init: str, content: np.ndarray, styles: Sequence[np.ndarray], rng: np.random.Generator
) -> np.ndarray:
    """Make the sound that a transfer starts from."""
    if init == "content":
        return content
    if init == "style":
        style = styles[0]
        if not style[: len(content)].any():  # a pause as long as the content: begin after it
            style = np.roll(style, -int(np.flatnonzero(style)[0]))
        return at_level(repeat_to(style, len(content)))
    return shaped_noise(styles[0], len(content), rng)


def audible(block: np.ndarray) -> np.ndarray:
    """Put faint noise, always the same, where a block holds next to nothing."""
    if np.sqrt(np.square(block, dtype=np.float64).mean()) >= _QUIET * LEVEL:
        return block
    noise = np.random.default_rng(0).standard_normal(len(block))
    return (block + _QUIET * LEVEL * noise).astype(np.float32)


class StyleTransfer(StyleEstimator):
    r"""Give the texture of some sounds to the content of others.

    Fitted on sounds of the style. ``transform`` changes each content until its activations are
    still near those of the content and their Gram matrices near those of the style, by descent on

    .. math:: \alpha \frac{\mathcal{L}_{content}(x)}{\mathcal{L}_{content}(s)}
              + \beta \frac{\mathcal{L}_{style}(x)}{\mathcal{L}_{style}(c)}

    with :math:`\alpha` the content weight, :math:`\beta` the style weight, and the losses of [1]_
    (equations 10 to 16 of [2]_), each in parts of what it is between the untouched content
    :math:`c` and the untouched style :math:`s`.

    Parameters
    ----------
    representation : transformer or None, default=None
        What the network sees; its `sample_rate` is that of all sounds. None:
        :func:`skstrf.style.log_stft`, which is :math:`\log(1 + |STFT|)` of sounds at 16 kHz.
    network : {"random", "cortical"} or CNNClassifier, default="random"
        "random" is one layer of random filters over the representation, seen as an image of one
        row with all axes but time as its channels [3]_. "cortical" takes the statistics of
        auditory cortex as the texture [4]_, see :class:`~skstrf.texture.CorticalStatistics`, and
        its envelopes as the content; the sound is varied through cochlea and cortex. A fitted
        classifier gives its convolutional layers; it must have been fitted on `representation`.
    content_weight, style_weight : float, default=0.05 and 1.0
        What the two parts weigh, for any pair of sounds; not both 0. Without content the texture
        is synthesized: set ``init="noise"`` then.
    layers : sequence of str, dict of str to float or None, default=None
        Layers, or groups of cortical statistics, whose Gram matrices count, with weights if a
        dict. None: all, alike.
    content_layers : sequence of str or None, default=None
        Layers of a classifier whose activations count. None: the last convolutional one but one.
    n_filters : int or None, default=None
        Of the random layer. None is the limit of infinitely many, in closed form: quicker by far
        than the usual 4096, and free of chance.
    kernel_size : int, default=11
        Frames that a random filter sees.
    init : {"content", "noise", "style"}, default="content"
        Where to start. Noise has the long-term spectrum of the style.
    domain : {"auto", "sound", "spectrogram"}, default="auto"
        What is varied: the sound, or the representation, of which a sound is made at the end,
        from the content's phase. "auto" is the sound wherever gradients reach it.
    optimizer : {"lbfgs", "adam"}, default="lbfgs"
        How to descend.
    lr : float, default=0.01
        Steps of Adam, in parts of the root mean square of the start.
    max_iter : int, default=300
        Iterations a block at most.
    tol : float, default=1e-3
        Stop when ten iterations together lower the loss by less than this share of it.
    block_duration : float, default=10.0
        Seconds of content that are worked on at a time. Longer ones are cut into blocks that
        overlap, so that memory stays flat.
    overlap : float, default=0.1
        Share of a block that it has in common with the next; up to 1/3.
    device : str, default="auto"
        "cpu", "cuda", or "auto": CUDA when there is one.
    random_state : int, RandomState instance or None, default=None
        Of random filters and noise. On the CPU the same integer gives the same bits.
    callback : callable or None, default=None
        Called after every iteration with a dict of ``sound``, ``channel``, ``block``,
        ``iteration``, ``loss``, ``content`` and ``style``. A StopIteration from it ends the block.
    verbose : bool, default=False
        Show a progress bar.

    Attributes
    ----------
    representation_ : transformer
        The representation, fitted.
    styles_ : list of ndarray of shape (n_times,)
        The styles at the level inside, every channel one.
    loss_curve_ : ndarray of shape (n_iter + 1, 3)
        Total, content and style loss of the last block, from the start on; there after transform.
    loss_curves_ : list of list of ndarray
        The same for every sound, and of it for every channel and block.
    n_iter_ : int
        Iterations of the last block.
    n_features_in_ : int
        Samples of a style.

    See Also
    --------
    skstrf.inspection.StyleTransferDisplay : Spectrograms, texture maps and loss.

    Notes
    -----
    Inside, every sound has a root mean square of 0.1; results have the level of their content,
    but are turned down where they would be clipped. Channels of stereo sounds are worked on one
    by one, from their own phases, toward the style of all channels together.

    Ctrl-C in ``transform`` returns the best so far with a RuntimeWarning, and the contents not yet
    begun as they were.

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
    >>> bool(transfer.loss_curve_[-1, 2] < 0.5 * transfer.loss_curve_[0, 2])
    True
    """

    _parameter_constraints: dict = {
        "representation": [HasMethods(["fit", "transform"]), None],
        "network": [StrOptions({"random", "cortical"}), CNNClassifier],
        "content_weight": [Interval(Real, 0, None, closed="left")],
        "style_weight": [Interval(Real, 0, None, closed="left")],
        "layers": ["array-like", dict, None],
        "content_layers": ["array-like", None],
        "n_filters": [Interval(Integral, 1, None, closed="left"), None],
        "kernel_size": [Interval(Integral, 1, None, closed="left")],
        "init": [StrOptions({"content", "noise", "style"})],
        "domain": [StrOptions({"auto", "sound", "spectrogram"})],
        "optimizer": [StrOptions({"lbfgs", "adam"})],
        "lr": [Interval(Real, 0, 1e30, closed="right")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "block_duration": [Interval(Real, 0, None, closed="neither")],
        "overlap": [Interval(Real, 0, 1 / 3, closed="right")],
        "device": [str],
        "random_state": ["random_state"],
        "callback": [callable, None],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        representation=None,
        network="random",
        *,
        content_weight=0.05,
        style_weight=1.0,
        layers=None,
        content_layers=None,
        n_filters=None,
        kernel_size=11,
        init="content",
        domain="auto",
        optimizer="lbfgs",
        lr=0.01,
        max_iter=300,
        tol=1e-3,
        block_duration=10.0,
        overlap=0.1,
        device="auto",
        random_state=None,
        callback=None,
        verbose=False,
    ):
        self.representation = representation
        self.network = network
        self.content_weight = content_weight
        self.style_weight = style_weight
        self.layers = layers
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
        self.device = device
        self.random_state = random_state
        self.callback = callback
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None):
        """Take sounds as the style.

        Parameters
        ----------
        X : array-like, torch.Tensor or dask array, or list of arrays of shape (n_times,)
            Sounds of shape (n_sounds, n_times) or (n_sounds, n_channels, n_times), or mono ones of
            several lengths; all together are one style.
        y : None
            Ignored.

        Returns
        -------
        self : object
            This object.

        Raises
        ------
        ValueError
            When a style is silent, too short or not finite, both weights are 0, or network,
            layers and representation do not go together.
        """
        if self.content_weight == 0 and self.style_weight == 0:
            raise ValueError("content_weight and style_weight are both 0: nothing is asked for.")
        styles = flat_sounds(X, "style")
        representation = log_stft() if self.representation is None else self.representation
        choose_domain(self.domain, representation, self.network)
        self.n_features_in_ = max(len(style) for style in styles)
        self.representation_ = fitted_for(representation, self.n_features_in_)
        check_network(self, self.representation_)
        self._check_lengths(styles, "style")
        self.styles_ = [at_level(style) for style in styles]
        self._curves: list[list[np.ndarray]] = []
        return self

    def _check_lengths(self, sounds: Any, name: str) -> None:
        least = shortest_style(self, self.representation_)
        for i, sound in enumerate(sounds):
            if sound.shape[-1] < least:
                rate = self.representation_.sample_rate
                raise ValueError(
                    f"sound {i} of the {name} lasts {sound.shape[-1] / rate:.3g} s, and the "
                    f"network looks at {least / rate:.3g} s at a time: take a longer sound"
                    + (", or a smaller kernel_size." if self.network == "random" else ".")
                )

    def _contents(self, X: Any) -> np.ndarray:
        contents = super()._contents(X)
        self._check_lengths(contents, "content")
        return contents

    def _styled(self, contents: np.ndarray) -> np.ndarray:
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        worker = Worker(self, self.styles_, contents.shape[-1])
        self._curves.clear()  # the same list: transform replaces no attribute
        result = contents.copy()
        n_channels = 1 if contents.ndim == 2 else contents.shape[1]
        total = len(contents) * n_channels * len(worker.starts)
        with ProgressReporter(self.callback, total, self.max_iter, self.verbose) as watcher:
            for i, content in enumerate(contents):
                result[i], done = self._one(worker, content, seed, watcher.sound(i))
                self._curves.append([descent.curve for descent in done])
                if done[-1].interrupted:
                    warnings.warn(
                        f"interrupted in sound {i}: what is done so far is returned, and the "
                        "contents from there on as they were.",
                        RuntimeWarning,
                        stacklevel=3,
                    )
                    break
        return result

    def _one(
        self, worker: Worker, content: np.ndarray, seed: int, watcher: Any
    ) -> tuple[np.ndarray, list[OptimizeResult]]:
        """Transfer all channels of one recording."""
        channels = np.atleast_2d(content).astype(np.float64)
        gain = LEVEL / np.sqrt(np.square(channels).mean())
        done: list[OptimizeResult] = []
        result = np.empty_like(channels)
        for k, channel in enumerate(channels):
            inside = np.ascontiguousarray(gain * channel, dtype=np.float32)
            if done and done[-1].interrupted:
                result[k] = inside
                continue
            start = starting_sound(self.init, inside, self.styles_, np.random.default_rng(seed))
            result[k], descents = worker.run(Job(inside, start, watcher.channel(k)))
            done.extend(descents)
        return restore_level(result, channels).reshape(content.shape), done

    @property
    def loss_curves_(self) -> list[list[np.ndarray]]:
        """Losses of the last transform."""
        check_is_fitted(self)
        if not self._curves:
            raise AttributeError("there are losses only after transform.")
        return [list(sound) for sound in self._curves]

    @property
    def loss_curve_(self) -> np.ndarray:
        """Losses of the last block of the last transform."""
        return self.loss_curves_[-1][-1]

    @property
    def n_iter_(self) -> int:
        """Iterations of the last block of the last transform."""
        return len(self.loss_curve_) - 1

    def score(self, X, y=None):
        """Say how much of what was asked for is reached.

        Parameters
        ----------
        X : array-like of shape (n_sounds, n_times) or (n_sounds, n_channels, n_times)
            Contents; they are transformed.
        y : None
            Ignored.

        Returns
        -------
        float
            1 less the loss over the sum of the weights, mean over the sounds: 1 is style and
            content to the letter, and the untouched content has its share of the weights.
        """
        self.transform(X)
        losses = [np.mean([curve[:, 0].min() for curve in sound]) for sound in self._curves]
        return float(1 - np.mean(losses) / (self.content_weight + self.style_weight))

    def judge(self) -> StyleMetrics:
        """Give the measures of closeness to this style, see :class:`skstrf.style.StyleMetrics`."""
        check_is_fitted(self)
        return StyleMetrics(self.styles_, self.representation_.sample_rate)
