"""The spectrogram that style transfer looks at where the user names no other."""

from __future__ import annotations

from ..transforms import STFTTransformer

__all__ = ["log_stft"]


def log_stft(sample_rate: float = 16000) -> STFTTransformer:
    r"""Make the transformer of :math:`\log(1 + |STFT|)` in frames of about 93 ms.

    Parameters
    ----------
    sample_rate : float, default=16000
        Of the sounds, in Hz.

    Returns
    -------
    STFTTransformer
        With hops of 512 samples and frames of 2048 at 22050 Hz, as in [1]_, and of as many
        seconds at other rates, rounded up to lengths that are quick to transform.

    References
    ----------
    .. [1] D. Ulyanov and V. Lebedev, "Audio texture synthesis and style transfer", 2016,
       https://dmitryulyanov.github.io/audio-texture-synthesis-and-style-transfer/

    Examples
    --------
    >>> from skstrf.style import log_stft
    >>> log_stft(22050).n_fft, log_stft(16000).n_fft
    (2048, 1500)
    """
    from scipy.fft import next_fast_len

    hop = next_fast_len(max(1, round(sample_rate * 512 / 22050)), real=True)
    return STFTTransformer(
        sample_rate, sample_rate / hop, n_fft=4 * hop, compression="log", compression_floor=1.0
    )
