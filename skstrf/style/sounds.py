"""Who is told of the iterations of a transfer: a progress bar and the user's callback."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from skstrf.transforms import STFTTransformer
from skstrf.utils.arrays import is_torch, to_numpy
from skstrf.utils.lazy import is_dask
from skstrf.utils.validation import check_array

__all__ = [
    "LEVEL",
    "ProgressReporter",
    "as_sounds",
    "block_starts",
    "check_not_silent",
    "flat_sounds",
    "join_blocks",
    "log_stft",
    "repeat_to",
    "restore_level",
    "shaped_noise",
]


class ProgressReporter:
    """Tells a callback of every iteration and moves a progress bar."""

    def __init__(self, callback: Any, n_blocks: int, max_iter: int, verbose: bool):
        from tqdm.auto import tqdm

        self._callback, self._max_iter = callback, max_iter
        self._bar = tqdm(total=n_blocks * max_iter, disable=not verbose, desc="style transfer")
        self._blocks_done, self._place = -1, {"sound": 0, "channel": 0, "block": 0}

    def __enter__(self) -> ProgressReporter:
        """Give itself."""
        return self

    def __exit__(self, *args: Any) -> None:
        """Close the bar."""
        self._bar.close()

    def sound(self, i: int) -> ProgressReporter:
        """Go on to a sound."""
        self._place = {"sound": i, "channel": 0, "block": -1}
        return self

    def channel(self, k: int) -> Callable[[dict[str, Any]], None]:
        """Go on to a channel; what is returned takes the reports of its iterations."""
        self._place = self._place | {"channel": k, "block": -1}
        return self._report

    def _report(self, values: dict[str, Any]) -> None:
        if values["iteration"] == 0:
            self._place["block"] += 1
            self._blocks_done += 1
            # A block that stopped early counts as a whole one.
            self._bar.update(self._blocks_done * self._max_iter - self._bar.n)
        else:
            self._bar.update(1)
            self._bar.set_postfix(content=values["content"], style=values["style"], refresh=False)
        if self._callback is not None:
            self._callback(self._place | values)


def log_stft(sample_rate: float = 16000) -> STFTTransformer:
    r"""Make the transformer of :math:`\log(1 + |STFT|)` in frames of about 93 ms."""
    from scipy.fft import next_fast_len

    hop = next_fast_len(max(1, round(sample_rate * 512 / 22050)), real=True)
    return STFTTransformer(
        sample_rate, sample_rate / hop, n_fft=4 * hop, compression="log", compression_floor=1.0
    )


def block_starts(n_times: int, longest: int, overlap: float) -> tuple[list[int], int]:
    """Cut a sound into blocks of one length that overlap."""
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


# Root mean square of every sound inside. With it the logarithm of 1 + |STFT| bends where it does
# for recordings at their usual level.
LEVEL = 0.1
# Samples of the spectra from which noise gets its color.
_COLOUR = 1024


def as_sounds(X: Any, name: str) -> np.ndarray:
    """Check sounds of shape (n_sounds, n_times) or (n_sounds, n_channels, n_times)."""
    array = check_array(
        to_numpy(X) if is_torch(X) else X,
        dtype=(np.float64, np.float32),
        allow_nd=True,
        ensure_all_finite=False,
        input_name=f"of the {name}",
    )
    if array.ndim > 3 or array.size == 0:
        raise ValueError(
            f"the {name} must have the shape (n_sounds, n_times), or (n_sounds, n_channels, "
            f"n_times), none of them 0; got {array.shape}."
        )
    if not np.isfinite(array).all():
        bad = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1))
        raise ValueError(f"the {name} contains NaN or infinity, in sound {bad[0]}: leave it out.")
    return array


def check_not_silent(sounds: np.ndarray, name: str) -> None:
    """Refuse sounds without any change, which have neither content nor style."""
    for i, sound in enumerate(sounds):
        if not sound.any():
            raise ValueError(f"sound {i} of the {name} is silent: leave it out.")


def flat_sounds(X: Any, name: str, *, mono: bool = False) -> list[np.ndarray]:
    """Check sounds of one length or of several, and list them, every channel one of them."""
    if is_dask(X):
        X = X.compute()
    if isinstance(X, list | tuple) and len({np.shape(x) for x in X}) > 1:
        if not all(np.ndim(x) == 1 for x in X):
            raise ValueError(f"sounds of the {name} in a list must be mono, (n_times,) each.")
        parts = [as_sounds(np.asarray(x)[None], name) for x in X]
        check_not_silent(np.array([part.any() for part in parts])[:, None], name)
        return [part[0] for part in parts]
    array = as_sounds(X, name)
    if mono and array.ndim > 2:
        raise ValueError(f"the {name} must be mono, of shape (n_sounds, n_times): {array.shape}.")
    check_not_silent(array, name)
    flat = array.reshape(-1, array.shape[-1])
    return [sound for sound in flat if sound.any()]


def repeat_to(sound: np.ndarray, n_times: int) -> np.ndarray:
    """Repeat or cut a sound to a length."""
    return np.resize(sound, n_times)


def shaped_noise(sound: np.ndarray, n_times: int, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise with the long-term spectrum and the level of a sound."""
    from scipy.signal import welch

    size = min(_COLOUR, len(sound))
    _, power = welch(sound.astype(np.float64), nperseg=size, detrend=False)
    white = np.fft.rfft(rng.standard_normal(n_times))
    places = np.linspace(0, len(power) - 1, len(white))
    colored = np.fft.irfft(
        white * np.sqrt(np.interp(places, np.arange(len(power)), power)), n_times
    )
    level = np.sqrt(np.square(sound, dtype=np.float64).mean())
    found = np.sqrt(np.square(colored).mean())
    return (colored * (level / found if found else 0.0)).astype(sound.dtype)


def restore_level(result: np.ndarray, content: np.ndarray) -> np.ndarray:
    """Bring a result to the content's level, but nowhere beyond full scale."""
    wanted, found = (np.sqrt(np.square(x, dtype=np.float64).mean()) for x in (content, result))
    if found == 0:
        return content.copy()
    scaled = result * (wanted / found)
    ceiling, peak = max(1.0, np.abs(content).max()), np.abs(scaled).max()
    return scaled * (ceiling / peak) if peak > ceiling else scaled
