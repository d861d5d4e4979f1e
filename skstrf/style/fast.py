"""Style transfer by one pass of a trained network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from sklearn.utils import check_consistent_length, check_random_state
from torch import nn
from torch.nn.utils import skip_init

from skstrf.style.base import ProgressReporter, StyleEstimator
from skstrf.style.domains import Domain, WaveformDomain, choose_domain, fitted_for, hop_length
from skstrf.style.metrics import StyleMetrics
from skstrf.style.objectives import Objective, check_network
from skstrf.style.sounds import (
    at_level,
    block_starts,
    fill_silence,
    join_blocks,
    keep_level,
    list_sounds,
)
from skstrf.utils.arrays import resolve_device
from skstrf.utils.validation import Integral, Interval, Real, fit_context

__all__ = ["FastStyleTransfer", "StyleNetwork"]

_OVERLAP = 0.1
_MAX_GRADIENT_NORM = 1.0
_TINY = 1e-8


class FastStyleTransfer(StyleEstimator):
    r"""Style transfer by one pass of a network that is trained for several styles.

    `fit` trains a small network [1]_ for all styles [2]_ with the losses of
    :class:`~skstrf.StyleTransfer`. `transform` takes a small fraction of the duration of a sound.
    As the network keeps the phases of the content, the result is less close to the style than
    that of an optimization of every sound.

    Parameters
    ----------
    representation : transformer or None, default=None
        Differentiable representation that enters the losses. Its `sample_rate` is that of all
        sounds. None stands for :math:`\log(1 + |STFT|)` of sounds at 16 kHz in windows of about
        93 ms.
    network : {"random", "cortical"} or CNNClassifier, default="random"
        Network whose activations are compared, see :class:`~skstrf.StyleTransfer`.
    style : object, mapping or None, default=None
        Style that `transform` applies: one of the labels, or weights by label, which are divided
        by their sum. None selects the first label. The parameter may be changed after `fit`.
    content_weight, style_weight : float, default=0.05 and 1.0
        Weights of the two losses, of which one may be 0.
    kernel_size : int, default=11
        Length of the random filters in frames.
    n_hidden : int, default=192
        Number of channels of the hidden layers of the trained network.
    n_blocks : int, default=4
        Number of its residual blocks, at most 10.
    batch_size : int, default=4
        Number of excerpts per iteration.
    crop_duration : float, default=3.0
        Duration of an excerpt in seconds.
    lr : float, default=1e-3
        Initial learning rate of Adam, which decreases to 0 along a cosine.
    max_iter : int, default=600
        Number of iterations of the training.
    block_duration : float, default=10.0
        Maximum duration in seconds of the blocks that `transform` processes at once.
    callback : callable or None, default=None
        Function called after every iteration with a dict of ``iteration``, ``content`` and
        ``style``.
    device : str, default="auto"
        Device of the computation: "cpu", "cuda", or "auto", which selects CUDA if available.
    random_state : int, RandomState instance or None, default=None
        Seed of the initial weights and of the excerpts.
    verbose : bool, default=False
        Whether to show a progress bar.

    Attributes
    ----------
    classes_ : ndarray of shape (n_styles,)
        Sorted labels of the styles.
    styles_ : list of list of ndarray
        Sounds of each style, scaled to the internal level.
    network_ : torch.nn.Module
        The trained network, on the CPU.
    representation_ : transformer
        The fitted representation.
    history_ : list of dict
        ``iteration``, and the ``content`` and ``style`` loss relative to their values between the
        untouched content and style.
    n_iter_ : int
        Number of iterations.
    n_features_in_ : int
        Number of samples of the longest style.

    See Also
    --------
    StyleTransfer : Optimization of every sound: closer to the style, and much slower.

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
    >>> fast.fit(styles, ["white", "dull"], contents=contents).classes_.tolist()
    ['dull', 'white']
    >>> fast.set_params(style={"white": 1, "dull": 3}).transform(contents).shape
    (1, 8000)
    """

    _parameter_constraints: dict = {
        **StyleEstimator._parameter_constraints,
        "style": "no_validation",
        "n_hidden": [Interval(Integral, 1, None, closed="left")],
        "n_blocks": [Interval(Integral, 0, 10, closed="both")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "crop_duration": [Interval(Real, 0, None, closed="neither")],
    }
    # Parameters of StyleTransfer that the objectives read.
    style_layers = content_layers = n_filters = None

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
        batch_size=4,
        crop_duration=3.0,
        lr=1e-3,
        max_iter=600,
        block_duration=10.0,
        callback=None,
        device="auto",
        random_state=None,
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
        self.batch_size = batch_size
        self.crop_duration = crop_duration
        self.lr = lr
        self.max_iter = max_iter
        self.block_duration = block_duration
        self.callback = callback
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None, *, contents=None):
        """Train the network for styles.

        Parameters
        ----------
        X : array-like, torch.Tensor or dask array, or list of arrays of shape (n_times,)
            Sounds of the styles, of shape (n_sounds, n_times), or mono sounds of several lengths.
        y : array-like of shape (n_sounds,) or None, default=None
            Labels of the styles; sounds with the same label are one style. None makes every sound
            a style whose label is its index.
        contents : array-like of shape (n, n_times), list of arrays or None, default=None
            Sounds on which the network is trained, which should resemble those to transform. None
            stands for `X`.

        Returns
        -------
        self : object
            This object.

        Raises
        ------
        ValueError
            If a sound is silent, too short or not finite, both weights are 0, or the network and
            the representation do not match.
        """
        self._check_weights()
        sounds = [at_level(sound) for sound in list_sounds(X, "style", mono=True)]
        labels = np.arange(len(sounds)) if y is None else np.asarray(y)
        check_consistent_length(sounds, labels)
        self.classes_ = np.unique(labels)
        self.styles_ = [
            [sounds[i] for i in np.flatnonzero(labels == label)] for label in self.classes_
        ]
        representation = self._default_representation()
        choose_domain("waveform", representation, self._network_name())
        self.n_features_in_ = max(len(sound) for sound in sounds)
        length = max(1, round(self.crop_duration * representation.sample_rate))
        length = min(length, self.n_features_in_)
        self.representation_ = fitted_for(representation, length)
        check_network(self, self.representation_)
        self._style_weights()
        if contents is not None:
            sounds = [at_level(x) for x in list_sounds(contents, "contents", mono=True)]
        self._train(sounds, length)
        return self

    def _metrics(self) -> StyleMetrics:
        """Metrics with respect to the style of the largest weight."""
        k = int(self._style_weights().argmax())
        return StyleMetrics(self.styles_[k], self.representation_.sample_rate)

    def _style_weights(self) -> np.ndarray:
        """Weights of all styles, of sum 1, from the parameter `style`."""
        known = self.classes_.tolist()
        style = known[0] if self.style is None else self.style
        weights = dict(style) if isinstance(style, Mapping) else {style: 1.0}
        if any(label not in known for label in weights):
            raise ValueError(f"style={self.style!r} must be among the styles {known}.")
        found = np.array([float(weights.get(label, 0.0)) for label in known])
        if not (found >= 0).all() or not 0 < found.sum() < np.inf:
            raise ValueError(
                f"style={self.style!r}: weights must not be negative, and at least one must be "
                "above 0."
            )
        return found / found.sum()

    def _train(self, contents: Sequence[np.ndarray], length: int) -> None:
        """Train on excerpts of contents, each toward one random style."""
        device = resolve_device(self.device)
        rng = check_random_state(self.random_state)
        generator = torch.Generator().manual_seed(int(rng.randint(2**31 - 1)))
        n_fft = 4 * hop_length(self.representation_.sample_rate)
        network = StyleNetwork(n_fft, len(self.classes_), self.n_hidden, self.n_blocks)
        network = network.initialize(generator).to(device)
        _set_normalization(network, contents, device)
        domain = self._make_domain(WaveformDomain, length, device)
        objectives = [
            self._make_objective(WaveformDomain, sounds, length, device) for sounds in self.styles_
        ]
        styles = [np.resize(sounds[0], length) for sounds in self.styles_]
        adam = torch.optim.Adam(network.parameters(), lr=self.lr)
        decay = torch.optim.lr_scheduler.LambdaLR(
            adam, lambda i: 0.5 * (1 + math.cos(math.pi * min(1.0, i / self.max_iter)))
        )
        weights = self._weights()
        self.history_ = []
        with ProgressReporter(
            self.callback, self.max_iter, "style network", self.verbose
        ) as progress:
            for iteration in range(self.max_iter):
                chosen = rng.randint(len(objectives), size=self.batch_size)
                batch = np.stack([_random_crop(contents, length, rng) for _ in chosen])
                x = torch.from_numpy(batch).to(device)
                result = network(x, torch.eye(len(objectives), device=device)[chosen])
                result = result * (_rms(x) / (_rms(result) + _TINY))
                losses = [
                    _losses(objectives[k], domain, x[i], styles[k], result[i])
                    for i, k in enumerate(chosen)
                ]
                content, style = (torch.stack(part).mean() for part in zip(*losses, strict=True))
                adam.zero_grad()
                (weights[0] * content + weights[1] * style).backward()
                torch.nn.utils.clip_grad_norm_(network.parameters(), _MAX_GRADIENT_NORM)
                adam.step()
                decay.step()
                values = {"content": float(content.detach()), "style": float(style.detach())}
                self.history_.append({"iteration": iteration} | values)
                progress.report(iteration + 1, self.history_[-1])
        self.network_ = network.cpu().eval().requires_grad_(False)
        self.n_iter_ = len(self.history_)

    def _transform(self, contents: np.ndarray) -> np.ndarray:
        device = resolve_device(self.device)
        network = self.network_.to(device)
        weights = torch.tensor(self._style_weights(), dtype=torch.float32, device=device)[None]
        longest = max(1, round(self.block_duration * self.representation_.sample_rate))
        starts, length = block_starts(contents.shape[-1], longest, _OVERLAP)

        def transform_channel(_: int, channel: np.ndarray) -> np.ndarray:
            x = torch.from_numpy(channel).to(device)[None]
            with torch.no_grad():
                blocks = [network(x[:, i : i + length], weights)[0].cpu().numpy() for i in starts]
            return join_blocks(blocks, starts, len(channel))

        result = np.stack([keep_level(content, transform_channel) for content in contents])
        self.network_.cpu()
        return result.astype(contents.dtype, copy=False)

    def __getstate__(self):
        """Return plain values and numpy arrays only: the network is replaced by its weights."""
        state = dict(super().__getstate__())
        network = state.pop("network_", None)
        return state if network is None else state | {"_weights": network.arrays()}

    def __setstate__(self, state):
        """Restore the values, and build the network from its weights."""
        state = dict(state)
        weights = state.pop("_weights", None)
        super().__setstate__(state)
        if weights is not None:
            self.network_ = StyleNetwork.from_arrays(weights)


def _set_normalization(network: StyleNetwork, sounds: Sequence[np.ndarray], device: str) -> None:
    """Set the mean and scale of log magnitudes by which the network normalizes its input."""
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
        deviation = (squares / count - mean.square()).clamp(min=0).sqrt()
        network.mean.copy_(mean[:, None])
        # The lower bound prevents an amplification of bands without sound.
        network.scale.copy_(deviation.clamp(min=1e-3 + 0.1 * float(deviation.max()))[:, None])


def _random_crop(
    contents: Sequence[np.ndarray], length: int, rng: np.random.RandomState
) -> np.ndarray:
    """Random excerpt of a random sound; short sounds are repeated."""
    sound = contents[rng.randint(len(contents))]
    if len(sound) <= length:
        return fill_silence(np.resize(sound, length))
    start = rng.randint(len(sound) - length + 1)
    return fill_silence(sound[start : start + length])


def _rms(x: torch.Tensor) -> torch.Tensor:
    return x.square().mean(-1, keepdim=True).sqrt()


def _losses(
    objective: Objective,
    domain: Domain,
    content: torch.Tensor,
    style: np.ndarray,
    result: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.no_grad():
        objective.begin(domain.tensor(content), domain.tensor(domain.variable(style)))
    return objective(domain.tensor(result))


class StyleNetwork(nn.Module):
    """Network that changes the magnitudes of the spectrogram of a sound and keeps the phases.

    Convolutions over time with all frequencies as channels, followed by dilated residual blocks.
    All styles share the filters; each has its own gains and offsets after the normalizations,
    which are mixed by weights. The initial network is the identity.
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
        self.input_layer = _convolution(n_bins, n_hidden, 5, padding=2)
        self.blocks = nn.ModuleList(
            _convolution(n_hidden, n_hidden, 3, padding=2**i, dilation=2**i)
            for i in range(n_blocks)
        )
        self.output_layer = _convolution(n_hidden, n_bins, 1)
        # Gains (minus 1) and offsets by style and normalization.
        self.gains = nn.Parameter(torch.zeros(n_styles, n_blocks + 1, n_hidden))
        self.offsets = nn.Parameter(torch.zeros(n_styles, n_blocks + 1, n_hidden))

    def initialize(self, generator: torch.Generator) -> StyleNetwork:
        """Draw the initial weights; those of the last layer are 0."""
        with torch.no_grad():
            for parameter in (*self.input_layer.parameters(), *self.blocks.parameters()):
                if parameter.ndim == 1:
                    parameter.zero_()
                    continue
                fan_in = parameter[0].numel()
                parameter.normal_(0, math.sqrt(2 / fan_in), generator=generator)
            for parameter in self.output_layer.parameters():
                parameter.zero_()
        return self

    def spectrum(self, x: torch.Tensor) -> torch.Tensor:
        """Complex spectrograms, (n, n_bins, n_frames), of sounds (n, n_times)."""
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
        """Copy the state dict to numpy arrays."""
        return {k: v.detach().cpu().numpy().copy() for k, v in self.state_dict().items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> StyleNetwork:
        """Build the network from the result of :meth:`arrays`."""
        n_styles, n_layers, n_hidden = arrays["gains"].shape
        network = cls(len(arrays["window"]), n_styles, n_hidden, n_layers - 1)
        network.load_state_dict({k: torch.tensor(v) for k, v in arrays.items()})
        return network.eval().requires_grad_(False)

    def forward(self, x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Sounds (n, n_times) with the styles mixed by weights (n, n_styles)."""
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
        """Transform log magnitudes of shape (n, n_bins, n_frames)."""
        gains = torch.einsum("ns,slc->lnc", weights, 1 + self.gains)[..., None]
        offsets = torch.einsum("ns,slc->lnc", weights, self.offsets)[..., None]
        h = self.input_layer((levels - self.mean) / self.scale)
        h = torch.relu(gains[0] * _normalized(h) + offsets[0])
        for i, layer in enumerate(self.blocks, 1):
            h = h + torch.relu(gains[i] * _normalized(layer(h)) + offsets[i])
        # Between silence and the level of a magnitude a thousand times full scale.
        return (levels + self.scale * self.output_layer(h)).clamp(0, 15)


def _convolution(n_in: int, n_out: int, width: int, **settings: int) -> nn.Module:
    """Layer without initial weights, which torch would draw from its global generator."""
    return skip_init(nn.Conv1d, n_in, n_out, width, padding_mode="replicate", **settings)


def _normalized(h: torch.Tensor) -> torch.Tensor:
    """Normalize the channels of every sound to zero mean and unit variance over time."""
    mean = h.mean(-1, keepdim=True)
    variance = (h - mean).square().mean(-1, keepdim=True)
    return (h - mean) * torch.rsqrt(variance + 1e-5)
