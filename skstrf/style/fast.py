"""FastStyleTransfer: one network for several styles, faster than real time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_consistent_length, check_random_state

from ..neural import CNNClassifier
from ..utils.devices import resolve_device
from ..utils.validation import (
    HasMethods,
    Integral,
    Interval,
    Real,
    StrOptions,
    check_is_fitted,
    fit_context,
)
from .base import StyleEstimator
from .blocks import block_starts, join_blocks
from .domains import SoundDomain, choose_domain, fitted_for
from .fast_network import StyleNetwork
from .fast_training import measure_levels, train
from .networks import check_network, make_objective
from .representation import log_stft
from .scores import Judge, at_level
from .sounds import (
    LEVEL,
    flat_sounds,
    repeat_to,
    restore_level,
)

__all__ = ["FastStyleTransfer"]


class FastStyleTransfer(StyleEstimator):
    """Give sounds one of several textures in one pass of a network, or a mixture of them.

    ``fit`` trains one small network for all styles, by the losses of
    :class:`~skstrf.StyleTransfer`; ``transform`` then takes a small part of a sound's duration.
    The phases of the content are kept, so it comes less near to a style than an optimisation for
    every single sound does.

    Parameters
    ----------
    representation : transformer or None, default=None
        What the losses look at, one of those that gradients pass; its `sample_rate` is that of
        all sounds. None: :func:`skstrf.style.log_stft`.
    network : {"random", "cortical"} or CNNClassifier, default="random"
        What the losses are made of, see :class:`~skstrf.StyleTransfer`.
    style : object, mapping or None, default=None
        Which style ``transform`` gives: one of the labels, or weights by label, which are divided
        by their sum. None: the first one. It may be changed after ``fit``.
    content_weight, style_weight : float, default=0.05 and 1.0
        As in :class:`~skstrf.StyleTransfer`; not both 0.
    kernel_size : int, default=11
        Frames that a random filter sees.
    n_hidden : int, default=192
        Channels of the network that is trained.
    n_blocks : int, default=4
        Its residual blocks.
    max_iter : int, default=600
        Iterations of training.
    batch_size : int, default=4
        Stretches of sound an iteration.
    crop_duration : float, default=3.0
        Seconds of a stretch.
    lr : float, default=1e-3
        First step of Adam; it falls to 0 along a cosine.
    block_duration : float, default=10.0
        Seconds that ``transform`` works on at a time.
    device : str, default="auto"
        "cpu", "cuda", or "auto": CUDA when there is one.
    random_state : int, RandomState instance or None, default=None
        Of weights and stretches.
    callback : callable or None, default=None
        Called after every iteration with a dict of ``iteration``, ``content`` and ``style``.
    verbose : bool, default=False
        Show a progress bar.

    Attributes
    ----------
    labels_ : ndarray of shape (n_styles,)
        Of the styles, sorted.
    styles_ : list of list of ndarray
        The sounds of each style at the level inside.
    network_ : StyleNetwork
        The trained network, on the CPU.
    representation_ : transformer
        The representation, fitted.
    history_ : list of dict
        ``iteration``, ``content`` and ``style`` loss, each 1 where it is as large as between
        content and style untouched.
    n_iter_ : int
        Iterations.
    n_features_in_ : int
        Samples of a style.

    See Also
    --------
    skstrf.StyleTransfer : Nearer to the style, and a thousand times slower.

    References
    ----------
    .. [1] D. Ulyanov, V. Lebedev, A. Vedaldi and V. Lempitsky, "Texture networks: feed-forward
       synthesis of textures and stylized images", ICML, 1349-1357, 2016.
    .. [2] V. Dumoulin, J. Shlens and M. Kudlur, "A learned representation for artistic style",
       ICLR, 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf import FastStyleTransfer
    >>> rng = np.random.default_rng(0)
    >>> styles = 0.1 * rng.standard_normal((2, 8000))
    >>> styles[1] = np.convolve(styles[1], np.ones(8) / 8, "same")
    >>> contents = np.sin(0.2 * np.arange(8000))[None]
    >>> fast = FastStyleTransfer(max_iter=3, n_hidden=8, crop_duration=0.5, random_state=0)
    >>> fast.fit(styles, ["white", "dull"], contents=contents).labels_.tolist()
    ['dull', 'white']
    >>> fast.set_params(style={"white": 1, "dull": 3}).transform(contents).shape
    (1, 8000)
    """

    _parameter_constraints: dict = {
        "representation": [HasMethods(["fit", "transform"]), None],
        "network": [StrOptions({"random", "cortical"}), CNNClassifier],
        "style": "no_validation",
        "content_weight": [Interval(Real, 0, None, closed="left")],
        "style_weight": [Interval(Real, 0, None, closed="left")],
        "kernel_size": [Interval(Integral, 1, None, closed="left")],
        "n_hidden": [Interval(Integral, 1, None, closed="left")],
        "n_blocks": [Interval(Integral, 0, 10, closed="both")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "crop_duration": [Interval(Real, 0, None, closed="neither")],
        "lr": [Interval(Real, 0, 1e30, closed="right")],
        "block_duration": [Interval(Real, 0, None, closed="neither")],
        "device": [str],
        "random_state": ["random_state"],
        "callback": [callable, None],
        "verbose": ["verbose"],
    }
    # What the objectives ask for besides.
    layers = content_layers = n_filters = None

    def __init__(
        self,
        representation=None,
        network="random",
        *,
        style=None,
        content_weight=0.05,
        style_weight=1.0,
        kernel_size=11,
        n_hidden=192,
        n_blocks=4,
        max_iter=600,
        batch_size=4,
        crop_duration=3.0,
        lr=1e-3,
        block_duration=10.0,
        device="auto",
        random_state=None,
        callback=None,
        verbose=False,
    ):
        self.representation = representation
        self.network = network
        self.style = style
        self.content_weight = content_weight
        self.style_weight = style_weight
        self.kernel_size = kernel_size
        self.n_hidden = n_hidden
        self.n_blocks = n_blocks
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.crop_duration = crop_duration
        self.lr = lr
        self.block_duration = block_duration
        self.device = device
        self.random_state = random_state
        self.callback = callback
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None, *, contents=None):
        """Train the network for the styles of some sounds.

        Parameters
        ----------
        X : array-like, torch.Tensor or dask array, or list of arrays of shape (n_times,)
            Sounds of the styles, of shape (n_sounds, n_times), or mono ones of several lengths.
        y : array-like of shape (n_sounds,) or None, default=None
            Labels; sounds of one label are one style. None: every sound is a style of its own,
            labelled by its number.
        contents : array-like of shape (n, n_times), list of arrays or None, default=None
            Sounds to learn on, alike those that are to be transformed. None: `X`.

        Returns
        -------
        self : object
            This object.

        Raises
        ------
        ValueError
            When a sound is silent, too short or not finite, both weights are 0, or network and
            representation do not go together.
        """
        if self.content_weight == 0 and self.style_weight == 0:
            raise ValueError("content_weight and style_weight are both 0: nothing is asked for.")
        sounds = [at_level(sound) for sound in flat_sounds(X, "style", mono=True)]
        labels = np.arange(len(sounds)) if y is None else np.asarray(y)
        check_consistent_length(sounds, labels)
        self.labels_ = np.unique(labels)
        self.styles_ = [
            [sounds[i] for i in np.flatnonzero(labels == label)] for label in self.labels_
        ]
        representation = log_stft() if self.representation is None else self.representation
        choose_domain("sound", representation, self.network)
        self.n_features_in_ = max(len(sound) for sound in sounds)
        self.representation_ = fitted_for(representation, self._crop_length())
        check_network(self, self.representation_)
        self._check_style()
        learned = sounds if contents is None else flat_sounds(contents, "contents", mono=True)
        self._train([at_level(sound) for sound in learned])
        return self

    def _crop_length(self) -> int:
        """Samples of a stretch; sounds need not last that long."""
        rate = log_stft().sample_rate if self.representation is None else None
        rate = rate or self.representation.sample_rate
        return min(max(1, round(self.crop_duration * rate)), self.n_features_in_)

    def _train(self, contents: list[np.ndarray]) -> None:
        from tqdm.auto import tqdm

        device = resolve_device(self.device)
        rng = check_random_state(self.random_state)
        generator = torch.Generator().manual_seed(int(rng.randint(2**31 - 1)))
        rate = self.representation_.sample_rate
        n_fft = int(log_stft(rate).n_fft or 0)
        network = StyleNetwork(n_fft, len(self.labels_), self.n_hidden, self.n_blocks)
        network = network.initialise(generator).to(device)
        measure_levels(network, contents, device)
        length = self._crop_length()
        domain = self._domain(length, device)
        objectives = [self._objective(sounds, length, device) for sounds in self.styles_]
        styles = [repeat_to(sounds[0], length) for sounds in self.styles_]
        with tqdm(total=self.max_iter, disable=not self.verbose, desc="style network") as bar:

            def report(values: dict[str, float]) -> None:
                bar.update(1)
                bar.set_postfix(content=values["content"], style=values["style"], refresh=False)
                if self.callback is not None:
                    self.callback(values)

            self.history_ = train(self, network, objectives, domain, contents, styles, rng, report)
        self.network_ = network.cpu().eval().requires_grad_(False)
        self.n_iter_ = len(self.history_)

    def _domain(self, length: int, device: str) -> SoundDomain:
        cortical = isinstance(self.network, str) and self.network == "cortical"
        fitted = None if cortical else fitted_for(self.representation_, length)
        return SoundDomain(fitted, device)

    def _objective(self, sounds: list[np.ndarray], length: int, device: str) -> Any:
        tensors = []
        for sound in sounds:
            domain = self._domain(len(sound), device)
            with torch.no_grad():
                tensors.append(domain.tensor(domain.start(sound)))
        return make_objective(self, tensors, length, device)

    def _check_style(self) -> np.ndarray:
        """Weights of all styles, of sum 1, that the parameter `style` means."""
        known = self.labels_.tolist()
        style = known[0] if self.style is None else self.style
        weights = dict(style) if isinstance(style, Mapping) else {style: 1.0}
        unknown = [label for label in weights if label not in known]
        if unknown:
            raise ValueError(f"style={self.style!r}: there are the styles {known}.")
        found = np.array([float(weights.get(label, 0.0)) for label in known])
        if not (found >= 0).all() or not 0 < found.sum() < np.inf:
            raise ValueError(
                f"style={self.style!r}: weights must not be negative, and one be above 0."
            )
        return found / found.sum()

    def _styled(self, contents: np.ndarray) -> np.ndarray:
        device = resolve_device(self.device)
        network = self.network_.to(device)
        weights = torch.tensor(self._check_style(), dtype=torch.float32, device=device)
        result = np.stack([self._one(network, content, weights) for content in contents])
        self.network_.cpu()
        return result.astype(contents.dtype, copy=False)

    def _one(self, network: Any, content: np.ndarray, weights: torch.Tensor) -> np.ndarray:
        channels = np.atleast_2d(content).astype(np.float64)
        gain = LEVEL / np.sqrt(np.square(channels).mean())
        longest = max(1, round(self.block_duration * self.representation_.sample_rate))
        starts, length = block_starts(channels.shape[-1], longest, 0.1)
        result = np.empty_like(channels)
        with torch.no_grad():
            for k, channel in enumerate(channels):
                x = torch.from_numpy((gain * channel).astype(np.float32)).to(weights.device)
                parts = [
                    network(x[None, i : i + length], weights[None])[0].cpu().numpy()
                    for i in starts
                ]
                result[k] = join_blocks(parts, starts, len(channel))
        return restore_level(result, channels).reshape(content.shape)

    def judge(self, label: Any = None) -> Judge:
        """Give the measures of closeness to a style, by default to the heaviest chosen one."""
        check_is_fitted(self)
        known = self.labels_.tolist()
        k = int(self._check_style().argmax()) if label is None else known.index(label)
        return Judge(self.styles_[k], self.representation_.sample_rate)

    def score(self, X, y=None):
        """Say how much of the way to the style is gone.

        Parameters
        ----------
        X : array-like of shape (n_sounds, n_times) or (n_sounds, n_channels, n_times)
            Contents; they are transformed.
        y : None
            Ignored.

        Returns
        -------
        float
            1 less the Gram distance to the style over that of the untouched content, mean over
            the sounds.
        """
        table = self.score_table(X)["gram_distance"]
        return float(1 - np.mean(np.divide(table["result"], np.maximum(table["content"], 1e-9))))

    def __getstate__(self):
        """Plain values and numpy arrays alone: the network becomes its weights."""
        state = dict(super().__getstate__())
        network = state.pop("network_", None)
        return state if network is None else state | {"_weights": network.arrays()}

    def __setstate__(self, state):
        """Take the values, and build the network from its weights."""
        state = dict(state)
        weights = state.pop("_weights", None)
        super().__setstate__(state)
        if weights is not None:
            self.network_ = StyleNetwork.from_arrays(weights)
