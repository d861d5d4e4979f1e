"""A network that gives sounds one of several styles in one pass, or a mixture of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_consistent_length, check_random_state
from torch import nn
from torch.nn.utils import skip_init

from skstrf.neural import CNNClassifier
from skstrf.style.base import StyleEstimator
from skstrf.style.metrics import StyleMetrics, at_level
from skstrf.style.objectives import Objective, check_network, make_objective
from skstrf.style.optimization import SoundDomain, choose_domain, fitted_for
from skstrf.style.sounds import (
    LEVEL,
    block_starts,
    flat_sounds,
    join_blocks,
    log_stft,
    repeat_to,
    restore_level,
)
from skstrf.style.transfer import audible
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
    "FastStyleTransfer",
    "StyleNetwork",
    "measure_levels",
    "train",
]


_TINY = 1e-8


class StyleNetwork(nn.Module):
    r"""Change the magnitudes of a sound's spectrogram; its phases stay.

    Convolutions over time with all frequencies as channels, and residual blocks that see ever
    longer stretches [1]_. All styles share the filters; each has its own gain and offset after
    every normalization, and weights mix those [2]_. Freshly made, it changes nothing.
    """

    mean: torch.Tensor
    scale: torch.Tensor
    window: torch.Tensor

    def __init__(self, n_fft: int, n_styles: int, n_hidden: int = 192, n_blocks: int = 4):
        super().__init__()
        self.n_fft = n_fft
        n_bins = n_fft // 2 + 1
        self.register_buffer("mean", torch.zeros(n_bins, 1))
        self.register_buffer("scale", torch.ones(n_bins, 1))
        self.register_buffer("window", torch.hann_window(n_fft))
        self.enter = _convolution(n_bins, n_hidden, 5, padding=2)
        self.blocks = nn.ModuleList(
            _convolution(n_hidden, n_hidden, 3, padding=2**i, dilation=2**i)
            for i in range(n_blocks)
        )
        self.leave = _convolution(n_hidden, n_bins, 1)
        # Gain (as its difference to 1) and offset after each normalization, by style.
        self.gains = nn.Parameter(torch.zeros(n_styles, n_blocks + 1, n_hidden))
        self.offsets = nn.Parameter(torch.zeros(n_styles, n_blocks + 1, n_hidden))

    def initialize(self, generator: torch.Generator) -> StyleNetwork:
        """Draw first weights from a generator of one's own; the last layer's are 0."""
        with torch.no_grad():
            for parameter in (*self.enter.parameters(), *self.blocks.parameters()):
                if parameter.ndim == 1:
                    parameter.zero_()
                    continue
                fan_in = parameter[0].numel()
                parameter.normal_(0, math.sqrt(2 / fan_in), generator=generator)
            for parameter in self.leave.parameters():
                parameter.zero_()
        return self

    def spectrum(self, x: torch.Tensor) -> torch.Tensor:
        """Complex spectrogram of sounds (n, n_times), of shape (n, n_bins, n_frames)."""
        return torch.stft(
            x,
            self.n_fft,
            self.n_fft // 4,
            window=self.window,
            center=True,
            pad_mode="constant",
            return_complex=True,
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """Copy everything that makes the network to numpy, by its names in torch."""
        return {k: v.detach().cpu().numpy().copy() for k, v in self.state_dict().items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> StyleNetwork:
        """Build a network of what :meth:`arrays` gave; their shapes say how large it is."""
        n_styles, n_layers, n_hidden = arrays["gains"].shape
        network = cls(len(arrays["window"]), n_styles, n_hidden, n_layers - 1)
        network.load_state_dict({k: torch.tensor(v) for k, v in arrays.items()})
        return network.eval().requires_grad_(False)

    def forward(self, x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Stylise."""
        spectrum = self.spectrum(x)
        magnitude = spectrum.abs()
        changed = torch.expm1(self._levels(torch.log1p(magnitude), weights))
        return torch.istft(
            spectrum * (changed / (magnitude + _TINY)),
            self.n_fft,
            self.n_fft // 4,
            window=self.window,
            center=True,
            length=x.shape[-1],
        )

    def _levels(self, levels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Change log magnitudes (n, n_bins, n_frames); none falls below that of silence."""
        gains = torch.einsum("ns,slc->lnc", weights, 1 + self.gains)[..., None]
        offsets = torch.einsum("ns,slc->lnc", weights, self.offsets)[..., None]
        h = self.enter((levels - self.mean) / self.scale)
        h = torch.relu(gains[0] * _normalized(h) + offsets[0])
        for i, layer in enumerate(self.blocks, 1):
            h = h + torch.relu(gains[i] * _normalized(layer(h)) + offsets[i])
        # The logarithm of magnitudes a thousand times full scale is 15.
        return (levels + self.scale * self.leave(h)).clamp(0, 15)


def _convolution(n_in: int, n_out: int, width: int, **settings: int) -> nn.Module:
    """Make filters without values: torch would draw them from its global generator."""
    return skip_init(nn.Conv1d, n_in, n_out, width, padding_mode="replicate", **settings)


def _normalized(h: torch.Tensor) -> torch.Tensor:
    """Channels of every sound to zero mean and unit variance over time."""
    mean = h.mean(-1, keepdim=True)
    variance = (h - mean).square().mean(-1, keepdim=True)
    return (h - mean) * torch.rsqrt(variance + 1e-5)


_LARGEST_GRADIENT = 1.0


def measure_levels(network: StyleNetwork, sounds: Sequence[np.ndarray], device: str) -> None:
    """Set the mean and spread of log magnitudes that the network takes off its input."""
    total = squares = torch.zeros(len(network.mean), dtype=torch.float64, device=device)
    count = 0
    with torch.no_grad():
        for sound in sounds:
            x = torch.from_numpy(sound).to(device)[None]
            levels = torch.log1p(network.spectrum(x).abs())[0].double()
            total = total + levels.sum(-1)
            squares = squares + levels.square().sum(-1)
            count += levels.shape[-1]
        mean = total / count
        spread = (squares / count - mean.square()).clamp(min=0).sqrt()
        network.mean.copy_(mean[:, None])
        # A band without sound must not be blown up.
        network.scale.copy_(spread.clamp(min=1e-3 + 0.1 * float(spread.max()))[:, None])


def train(
    transfer: Any,
    network: StyleNetwork,
    objectives: Sequence[Objective],
    domain: SoundDomain,
    contents: Sequence[np.ndarray],
    styles: Sequence[np.ndarray],
    rng: np.random.RandomState,
    report: Any,
) -> list[dict[str, float]]:
    """Train by stretches of contents, each toward one style."""
    length = len(styles[0])
    weights = transfer.content_weight, transfer.style_weight
    adam = torch.optim.Adam(network.parameters(), lr=transfer.lr)
    decay = torch.optim.lr_scheduler.LambdaLR(
        adam, lambda i: 0.5 * (1 + math.cos(math.pi * min(1.0, i / transfer.max_iter)))
    )
    history: list[dict[str, float]] = []
    for iteration in range(transfer.max_iter):
        chosen = rng.randint(len(objectives), size=transfer.batch_size)
        batch = [_stretch(contents, length, rng) for _ in chosen]
        x = torch.from_numpy(np.stack(batch)).to(network.mean.device)
        mixture = torch.eye(len(objectives), device=x.device)[chosen]
        result = _at_level_of(network(x, mixture), x)
        losses = [
            _losses(objectives[k], domain, x[i], styles[k], result[i])
            for i, k in enumerate(chosen)
        ]
        content, style = (torch.stack(part).mean() for part in zip(*losses, strict=True))
        adam.zero_grad()
        (weights[0] * content + weights[1] * style).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), _LARGEST_GRADIENT)
        adam.step()
        decay.step()
        history.append(
            {
                "iteration": iteration,
                "content": float(content.detach()),
                "style": float(style.detach()),
            }
        )
        report(history[-1])
    return history


def _at_level_of(result: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Give results the level of the contents, as they have in the end: loudness is no way out."""
    levels = [sound.square().mean(-1, keepdim=True).sqrt() for sound in (x, result)]
    return result * (levels[0] / (levels[1] + 1e-8))


def _losses(objective, domain, content, style, result):
    with torch.no_grad():
        objective.begin(domain.tensor(content), domain.tensor(domain.start(style)))
    return objective(domain.tensor(result))


def _stretch(
    contents: Sequence[np.ndarray], length: int, rng: np.random.RandomState
) -> np.ndarray:
    """Cut a stretch out of a sound; short ones are repeated."""
    sound = contents[rng.randint(len(contents))]
    if len(sound) <= length:
        return audible(repeat_to(sound, length))
    start = rng.randint(len(sound) - length + 1)
    return audible(sound[start : start + length])


class FastStyleTransfer(StyleEstimator):
    """Give sounds one of several textures in one pass of a network, or a mixture of them.

    ``fit`` trains one small network for all styles, by the losses of
    :class:`~skstrf.StyleTransfer`; ``transform`` then takes a small part of a sound's duration.
    The phases of the content are kept, so it comes less near to a style than an optimization for
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
            labeled by its number.
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
        network = network.initialize(generator).to(device)
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

    def judge(self, label: Any = None) -> StyleMetrics:
        """Give the measures of closeness to a style, by default to the heaviest chosen one."""
        check_is_fitted(self)
        known = self.labels_.tolist()
        k = int(self._check_style().argmax()) if label is None else known.index(label)
        return StyleMetrics(self.styles_[k], self.representation_.sample_rate)

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
