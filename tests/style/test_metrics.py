"""Metrics of style transfer against known answers."""

import numpy as np
import pytest
import torch

from skstrf.style.metrics import onset_correlation


def test_onset_correlation_tells_rhythms_apart():
    clicks = np.zeros(22050)
    clicks[2000::6000] = 1
    other = np.roll(clicks, 3000)
    assert onset_correlation(clicks, torch.tensor(clicks), sample_rate=22050) == pytest.approx(1)
    assert onset_correlation(clicks, other, sample_rate=22050) < 0.5
    assert np.isnan(onset_correlation(clicks, 0 * clicks, sample_rate=22050))
    with pytest.raises(ValueError, match="one length"):
        onset_correlation(clicks, clicks[:-1], sample_rate=22050)
