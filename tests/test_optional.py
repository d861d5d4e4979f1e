"""The package without its optional packages: the main line works, each feature names its extra."""

import configparser
import os
import subprocess
import sys
from pathlib import Path

import pytest

from skstrf.utils.optional import import_optional

ROOT = Path(__file__).parents[1]
# The packages of the extras, by the names they are imported by.
HIDE = """
import sys

HIDDEN = {"dask", "distributed", "filelock", "h5py", "jinja2", "kymatio", "matplotlib", "pooch",
          "pywt", "sounddevice", "zarr"}

class Hider:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HIDDEN:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hider())
"""
MAIN_LINE = """
HIDDEN.remove("pooch")  # librosa cannot be imported without it

import tempfile

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

import skstrf
from skstrf import *
from skstrf.auditory import (
    auditory_spectrogram, cortical_transform, invert_auditory_spectrogram,
    invert_cortical_transform,
)
from skstrf.experiments import run_classification
from skstrf.model_io import load_model, save_model

X, y = make_ripple_genres(2, 3, duration=0.4, random_state=0)
strf = STRFTransformer(scales=[0.5, 2.0], rates=[4.0, 8.0], frame_step=25)
network = CNNClassifier(max_epochs=2, random_state=0, device="cpu")
model = make_pipeline(strf, MPCA(0.9), network).fit(X, y)
assert model.predict(X).shape == y.shape
short = make_pipeline(strf, MPCA(0.8), CNNClassifier(max_epochs=1))
assert cross_val_score(short, X, y, cv=2).size == 2

with tempfile.TemporaryDirectory() as folder:
    save_model(model, f"{folder}/model.skops")
    stored = load_model(f"{folder}/model.skops")
    np.testing.assert_array_equal(stored.predict_proba(X), model.predict_proba(X))
    again = STRFTransformer(scales=[1.0], rates=[4.0], memory=folder)
    np.testing.assert_array_equal(again.fit_transform(X[:2]), again.transform(X[:2]))

spectrogram = auditory_spectrogram(X[0])
tensor = cortical_transform(spectrogram)
assert invert_cortical_transform(tensor).shape == spectrogram.shape
assert invert_auditory_spectrogram(spectrogram, max_iter=2).ndim == 1

for transformer in (
    STFTTransformer, MelTransformer, MFCCTransformer, ChromaTransformer, GammatoneTransformer,
    CochleogramTransformer,
):
    made = transformer().fit_transform(X[:2])
    assert np.isfinite(made).all(), transformer
mpca = MPCA(0.9).fit(strf.fit_transform(X))
assert mpca.inverse_transform(mpca.transform(strf.transform(X))).shape == strf.transform(X).shape
assert not HIDDEN.intersection(sys.modules)
"""
# A call of each feature, and the extra that its error names.
FEATURES = {
    "scattering": "ScatteringTransformer().fit(x)",
    "wavelet": "WaveletTransformer().fit(x)",
    "plot": "STRFDisplay.from_estimator(STRFTransformer(), x[0])",
    "report": "Report('A title').to_html()",
    "millionsong": "load_million_song_genres(labels, f'{data}/MillionSongSubset_like')",
    "datasets": "fetch_gtzan(folder)",
    "store": "import skstrf.corpus_store",
    "search": "CachedPipeline([('a', STRFTransformer()), ('b', MPCA())], memory=folder).fit(x)",
    "live": "next(_microphone(None, 16000, 128))",
    "dask": "on_cluster('tcp://127.0.0.1:1').__enter__()",
}
SETTING = f"""
data = {str(ROOT / "tests" / "datasets" / "data" / "msd")!r}
labels = data + "/msd_tagtraum_cd2c_fixture.cls"

import tempfile

import numpy as np

from skstrf import *
from skstrf.cli.listen import _microphone
from skstrf.inspection import Report, STRFDisplay
from skstrf.utils.cluster import on_cluster

folder = tempfile.mkdtemp()
x = np.random.default_rng(0).standard_normal((2, 8000))


def message(call):
    try:
        exec(call)
    except ImportError as error:
        return str(error)


"""


def run(code):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", HIDE + code],
        env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def test_main_line_needs_no_extra():
    done = run(MAIN_LINE)
    assert done.returncode == 0, done.stderr


def test_every_feature_names_its_extra():
    done = run(SETTING + "\n".join(f"print(message({call!r}))" for call in FEATURES.values()))
    assert done.returncode == 0, done.stderr
    messages = done.stdout.splitlines()
    assert len(messages) == len(FEATURES)
    for extra, message in zip(FEATURES, messages, strict=True):
        assert f'pip install "skstrf[{extra}]"' in message, (extra, message)


def test_extras_are_those_of_the_installation():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = set(setup["options.extras_require"])
    assert set(FEATURES) | {"all", "test", "lint", "docs", "bench", "dev"} == extras


def test_a_package_that_lacks_something_of_its_own_is_not_called_missing(tmp_path, monkeypatch):
    (tmp_path / "half_installed.py").write_text("import a_package_that_nobody_has")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="a_package_that_nobody_has"):
        import_optional("half_installed", extra="all")
    with pytest.raises(ImportError, match=r'nothing_here .* pip install "skstrf\[all\]"'):
        import_optional("nothing_here", extra="all")
