"""The page that is written about an experiment."""

import re
from html import unescape

import pytest

from skstrf.experiments import run_classification


@pytest.fixture(scope="module")
def page(noises, make_small_pipeline, tmp_path_factory):
    pipeline = make_small_pipeline().set_params(cnn__max_epochs=2)
    results = run_classification(*noises, cv=2, pipeline=pipeline, random_state=3)
    results.skipped = [("odd <b>name</b>.wav", "is empty")]
    path = tmp_path_factory.mktemp("report") / "report.html"
    results.to_report(
        path, title="Noises", notes=["A note."], model_file="out/model.skops", n_clips=2
    )
    return results, path.read_text(encoding="utf-8")


def _text(html):
    html = re.sub(r"(?s)<style.*?</style>", "", html)
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html)))


def test_it_says_what_was_found_and_how(page):
    results, html = page
    text = _text(html)
    assert results.summary() in text
    assert f"{results.chance['mean']:.3f}" in text
    assert "stratified 2-fold cross-validation" in text
    assert "A note." in text
    assert "skstrf predict out/model.skops FILE..." in text
    assert "Seed 3." in text
    for name in results.classes:
        assert name in text
    for package, version in results.versions.items():
        assert package in text
        assert version in text
    for stage in ("AudioLoader", "STRFTransformer", "TensorScaler", "MPCA", "CNNClassifier"):
        assert f"All of {stage}" in text


def test_it_has_its_figures_and_sounds(page):
    _, html = page
    figures = re.findall(r"<img[^>]*>", html)
    assert len(figures) == 1 + 2 + 1 + 1  # confusions, two tensors, MPCA, training
    assert all(re.search(r'alt="[^"]+"', figure) for figure in figures)
    assert len(re.findall(r"<audio[^>]*>", html)) == 2


def test_it_names_the_files_left_out_and_escapes_them(page):
    _, html = page
    assert "odd &lt;b&gt;name&lt;/b&gt;.wav" in html
    assert "<b>name</b>" not in html


def test_it_needs_nothing_else_and_can_be_read_by_everyone(page, page_faults):
    _, html = page
    assert page_faults(html) == []
    assert not re.findall(r'(?:src|href)="(?!data:|#)', html)


def test_stages_without_displays_are_left_out(noises, tmp_path):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline

    from skstrf import AudioLoader

    files, y = noises
    steps = [("loader", AudioLoader(duration=0.1)), ("lr", LogisticRegression())]
    split = ["train", "train", "train", "test", "test", "hall"] * 3
    results = run_classification(files, y, split=split, pipeline=Pipeline(steps))
    results.to_report(tmp_path / "report.html", n_clips=1)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert len(re.findall(r"<img[^>]*>", html)) == 2  # confusions of both test sets
    assert "hall" in _text(html)
    assert "Files left out None." in _text(html)


def test_shares_of_nothing_are_left_out():
    import numpy as np

    from skstrf.experiments._base import score_set
    from skstrf.experiments.classification import _by_class

    scores = score_set(np.array(["a", "a", "b"]), np.array(["a", "c", "a"]), list("abcd"), 0.5)
    assert _by_class(scores) == [
        ["a", 0.5, 0.5, 0.5, 2],
        ["b", None, 0.0, 0.0, 1],  # never named: no precision
        ["c", 0.0, None, None, 0],  # no sounds: no recall
        ["d", None, None, None, 0],
    ]
