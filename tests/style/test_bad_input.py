"""What cannot be done is refused with the sound or argument named, and the remedy."""

import numpy as np
import pytest

import skstrf
from skstrf import CNNClassifier, StyleTransfer

RATE = 8000  # of the sounds in conftest.py


@pytest.fixture
def quick(stft):
    return StyleTransfer(stft, max_iter=1, random_state=0)


def broken(sound, value):
    changed = np.stack([sound, sound])
    changed[1, 10] = value
    return changed


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: np.stack([x, 0 * x]), "sound 1 of the {} is silent"),
        (lambda x: broken(x, np.nan), "the {} contains NaN or infinity, in sound 1"),
        (lambda x: broken(x, np.inf), "the {} contains NaN or infinity, in sound 1"),
        (lambda x: x[None, :1000], "sound 0 of the {} lasts 0.125 s.*smaller kernel_size"),
        (lambda x: x, "Reshape your data"),
        (lambda x: x[None, None, None], r"the {} must have the shape \(n_sounds, n_times\)"),
        (lambda x: x[None] + 1j, "Complex data not supported"),
        (lambda x: np.empty((0, RATE)), "minimum of 1 is required|without empty axes"),
    ],
)
def test_sounds(quick, clicks, hiss, make, message):
    with pytest.raises(ValueError, match=message.format("style")):
        quick.fit(make(hiss))
    with pytest.raises(ValueError, match=message.format("content")):
        quick.fit(hiss[None]).transform(make(clicks))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"content_weight": 0, "style_weight": 0}, "both be 0"),
        ({"content_weight": -1}, "content_weight"),
        ({"style_layers": ["conv1"]}, r"contains \['conv1'\].*random"),
        ({"style_layers": {"random": 0}}, "at least one must be above 0"),
        ({"network": "cortical", "style_layers": ["conv1"]}, "style_layers"),
        ({"network": "cortical", "domain": "spectrogram"}, "requires domain"),
        ({"network": "envelopes", "domain": "spectrogram"}, "requires domain"),
        ({"network": "envelopes", "style_layers": {"gram": 0}}, "at least one must be above 0"),
        ({"network": "gatys"}, "network"),
        ({"representation": skstrf.STFTTransformer(output="complex")}, "output='magnitude'"),
        ({"representation": skstrf.WaveletTransformer(), "domain": "waveform"}, "differentiable"),
        ({"representation": skstrf.ChromaTransformer()}, "no inverse_transform"),
        ({"overlap": 0.5}, "overlap"),
        ({"init": "zeros"}, "init"),
        ({"device": "abacus"}, "device"),
    ],
)
def test_settings(quick, clicks, hiss, settings, message):
    with pytest.raises(ValueError, match=message):
        quick.set_params(**settings).fit(hiss[None]).transform(clicks[None])


def test_classifier_of_another_representation(quick, hiss):
    rng = np.random.default_rng(0)
    classifier = CNNClassifier(max_epochs=1, random_state=0)
    classifier.fit(rng.standard_normal((8, 40, 20)), np.arange(8) % 2)
    with pytest.raises(ValueError, match=r"fitted on tensors of shape .*40"):
        quick.set_params(network=classifier).fit(hiss[None])


def test_result_of_another_shape(quick, clicks, hiss):
    with pytest.raises(ValueError, match="must be equal"):
        quick.fit(hiss[None]).score_table(clicks[None], clicks[None, 1:])


def test_no_losses_before_transform(quick, hiss):
    with pytest.raises(AttributeError, match="only after transform"):
        _ = quick.fit(hiss[None]).loss_curve_


def test_list_of_stereo_styles(quick, hiss):
    with pytest.raises(ValueError, match="must be mono"):
        quick.fit([np.stack([hiss, hiss]), np.stack([hiss, hiss])[:, :5000]])
