"""Classification of sound that arrives in blocks, with a model that learned from files."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from skstrf.transforms import StreamingSTRF, STRFTransformer
from skstrf.utils.validation import checked_number, checked_whole

__all__ = ["Backlog", "LiveClassifier", "Prediction"]


class Prediction(NamedTuple):
    """Probabilities of the classes at one time, and the tensor that they belong to."""

    time: float  # of the end of the sound that was heard, in s
    probabilities: np.ndarray  # (n_classes,)
    tensor: np.ndarray  # (n_scales, n_rates, n_freqs, n_frames)


class LiveClassifier:
    """Classifier that follows a sound.

    Parameters
    ----------
    model : Pipeline
        Fitted pipeline of a causal `STRFTransformer`, possibly after an `AudioLoader`, and steps
        that end in a classifier with ``predict_proba``.
    sample_rate : float or None, default=None
        Sampling rate of the sounds in Hz. None is that of the model; it resamples others.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Classes of the model.
    stream_ : StreamingSTRF
        Stream of the tensor's frames.
    n_frames_ : int
        Number of frames of the tensors that the model learned from.

    Raises
    ------
    ValueError
        If the model is of another kind, is not fitted, or is not causal.

    See Also
    --------
    skstrf.StreamingSTRF : The frames without a classifier.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from skstrf import MPCA, STRFTransformer, make_ripple_genres
    >>> from skstrf.live import LiveClassifier
    >>> X, y = make_ripple_genres(n_per_class=4, random_state=0)
    >>> strf = STRFTransformer(rates=[4, 8], scales=[1, 2], causal=True)
    >>> model = make_pipeline(strf, MPCA(0.9, vectorize=True), LogisticRegression()).fit(X, y)
    >>> live = LiveClassifier(model)
    >>> predictions = [p for block in np.split(X[0], 50) for p in live.push(block)]
    >>> len(predictions)
    1
    """

    def __init__(self, model: Any, sample_rate: float | None = None) -> None:
        strf, rest = _parts(model)
        settings = strf._streaming()
        if sample_rate is not None:
            settings["sample_rate"] = checked_number(
                sample_rate, "sample_rate", low=0, open_low=True, unit="Hz"
            )
        self.stream_ = StreamingSTRF(**settings)
        self.classes_ = np.asarray(model.classes_)
        self._rest = rest
        self.n_frames_ = len(strf.axes_[-1].values)
        self.reset()

    def reset(self) -> None:
        """Forget everything that was heard."""
        self.stream_.reset()
        self._held: np.ndarray | None = None
        self._n_samples = 0

    def push(self, samples: Any) -> list[Prediction]:
        """Hear a block and return a prediction for each new frame of the tensor.

        Parameters
        ----------
        samples : array-like of shape (n_times,)
            Next samples of the sound, of any number.

        Returns
        -------
        list of Prediction
            Empty until the sound is as long as those that the model learned from.

        Raises
        ------
        ValueError
            If the block contains NaN or infinity, or has several channels.
        """
        block = np.asarray(samples)
        if block.ndim != 1:
            raise ValueError(
                f"A block must be mono, of shape (n_times,); got {block.shape}. Average the "
                "channels first."
            )
        frames = self.stream_.push(block)
        self._n_samples += block.size
        if self._held is None:
            self._held = frames[..., :0]
        held = np.concatenate([self._held, frames], axis=-1)
        self._held = held[..., max(0, held.shape[-1] - self.n_frames_) :].copy()
        first = max(self.n_frames_, held.shape[-1] - frames.shape[-1] + 1)
        time = self._n_samples / self.stream_.sample_rate
        predictions = []
        for end in range(first, held.shape[-1] + 1):
            tensor = held[..., end - self.n_frames_ : end]
            shares = np.asarray(self._rest.predict_proba(tensor[np.newaxis]))[0]
            predictions.append(Prediction(time, shares, tensor))
        return predictions


def _parts(model: Any) -> tuple[STRFTransformer, Any]:
    """Return the causal transformer of a pipeline, and the steps after it."""
    from sklearn.pipeline import Pipeline

    from skstrf.datasets import AudioLoader

    steps = list(model.steps) if isinstance(model, Pipeline) else []
    if steps and isinstance(steps[0][1], AudioLoader):
        steps = steps[1:]
    if not (len(steps) > 1 and isinstance(steps[0][1], STRFTransformer)):
        raise ValueError(
            f"The model ({type(model).__name__}) does not begin with an STRFTransformer followed "
            "by a classifier, and cannot run live."
        )
    strf = steps[0][1]
    if not strf.causal:
        raise ValueError(
            "The model looks ahead: its STRFTransformer has causal=False. Train it again with "
            "STRFTransformer(causal=True)."
        )
    rest = Pipeline(steps[1:])
    if not hasattr(strf, "axes_") or not hasattr(rest, "predict_proba"):
        raise ValueError("The model is not fitted, or its last step has no predict_proba.")
    return strf, rest


class Backlog:
    """Blocks of a source, read by a thread of its own, that wait for their computation.

    A live source cannot wait: blocks that are more than `max_delay` behind are dropped, and
    counted. Other sources wait until there is room.
    """

    def __init__(
        self, source: Iterator[np.ndarray], sample_rate: float, max_delay: float, live: bool
    ) -> None:
        self._source, self._live, self._rate = source, live, sample_rate
        self._most = checked_whole(int(np.ceil(max_delay * sample_rate)), "max_delay")
        self._queue: queue.Queue = queue.Queue(maxsize=0 if live else 64)
        self._lock = threading.Lock()
        self._waiting = 0
        self._stopped = threading.Event()
        self.n_dropped = 0  # samples
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            for block in self._source:
                if self._stopped.is_set():
                    return
                with self._lock:
                    if self._live and self._waiting + len(block) > self._most:
                        self.n_dropped += len(block)
                        continue
                    self._waiting += len(block)
                self._put(block)
            self._put(None)
        except Exception as error:  # raised again where the blocks are used
            self._put(error)

    def _put(self, item: Any) -> None:
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=0.2)
                return
            except queue.Full:
                continue

    def __iter__(self) -> Iterator[np.ndarray]:
        while True:
            item = self._queue.get()
            if item is None:
                return
            if isinstance(item, Exception):
                raise item
            with self._lock:
                self._waiting -= len(item)
            yield item

    def stop(self) -> None:
        """Let the thread end after the block that it reads."""
        self._stopped.set()


def raw_blocks(
    read: Callable[[int], bytes], kind: str, n_channels: int, length: int
) -> Iterator[np.ndarray]:
    """Yield mono blocks of raw samples, as integers of 16 bits or floats of 32 bits."""
    dtype = np.dtype({"s16le": "<i2", "f32le": "<f4"}[kind])
    size = dtype.itemsize * n_channels
    rest = b""
    while data := read(size * length):
        data = rest + data
        n_whole = len(data) // size
        rest = data[n_whole * size :]
        samples = np.frombuffer(data[: n_whole * size], dtype).reshape(n_whole, n_channels)
        scale = np.float32(2.0**-15 if dtype.kind == "i" else 1.0)
        yield samples.astype(np.float32).mean(axis=1) * scale
