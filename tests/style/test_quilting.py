"""Quilts consist of the style, follow the content and are joined along the best seam."""

import itertools

import numpy as np
import pytest

from skstrf import QuiltingStyleTransfer
from skstrf.style.quilting import StylePieces, _seam, quilt
from skstrf.style.sounds import at_level

RATE = 8000  # of the sounds in conftest.py


@pytest.mark.parametrize("n_rows", [1, 5])
def test_seam_is_the_cheapest_of_all_paths(n_rows):
    cost = np.random.default_rng(n_rows).random((n_rows, 4))
    paths = [
        path
        for path in itertools.product(range(4), repeat=n_rows)
        if all(abs(a - b) <= 1 for a, b in itertools.pairwise(path))
    ]
    least = min(paths, key=lambda path: sum(cost[k, column] for k, column in enumerate(path)))
    assert tuple(_seam(cost)) == least


def test_quilt_of_a_sound_by_itself_is_the_sound(clicks, hiss):
    x = at_level(clicks + hiss)
    np.testing.assert_allclose(quilt(x, StylePieces([x], RATE), content_share=1.0), x, atol=1e-5)


def test_events_stand_where_the_content_has_them():
    times = np.arange(2 * RATE) / RATE
    rng = np.random.default_rng(0)
    # Bursts of noise, and a tone that begins at the same moments in another order.
    content = np.where(times % 0.5 < 0.25, 1, 1e-3) * rng.standard_normal(len(times))
    style = np.where(times % 0.8 < 0.4, 1, 1e-3) * np.sin(2 * np.pi * 440 * times)
    result = QuiltingStyleTransfer(RATE).fit(style[None]).transform(content[None])[0]
    levels = [np.abs(x).reshape(-1, 400).mean(axis=1) for x in (content, result)]
    assert np.corrcoef(levels)[0, 1] > 0.8
    spectrum = np.abs(np.fft.rfft(result)) ** 2
    assert spectrum[860:900].sum() > 0.9 * spectrum.sum()  # 440 Hz


def test_judges_place_it_near_the_style(clicks, hiss):
    transfer = QuiltingStyleTransfer(RATE).fit(hiss[None])
    assert transfer.score(clicks[None]) > 0.8
    table = transfer.score_table(clicks[None])
    for row in table.values():
        assert row["result"] == pytest.approx(row["quilting"], rel=1e-3, abs=1e-3)


def test_pieces_do_not_reach_from_one_style_into_another(clicks):
    styles = [np.sin(2 * np.pi * f * np.arange(2000) / RATE) for f in (300, 900)]
    several = QuiltingStyleTransfer(RATE).fit(styles).transform(clicks[None])
    assert np.isfinite(several).all()
    assert several.std() == pytest.approx(clicks.std(), rel=0.05)


@pytest.mark.parametrize(("n_style", "n_content"), [(1, 1), (1, 3000), (3000, 1), (500, 2999)])
def test_sounds_of_any_length(n_style, n_content):
    rng = np.random.default_rng(0)
    style, content = rng.standard_normal(n_style), rng.standard_normal(n_content)
    result = QuiltingStyleTransfer(RATE).fit(style[None]).transform(content[None])
    assert result.shape == (1, n_content)
    assert np.isfinite(result).all()


@pytest.mark.parametrize(
    "settings",
    [{"patch_duration": 0}, {"patch_overlap": 0.6}, {"patch_overlap": 0}, {"content_share": 2}],
)
def test_bad_settings(hiss, settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        QuiltingStyleTransfer(RATE, **settings).fit(hiss[None])


def test_bad_sounds(clicks, hiss):
    with pytest.raises(ValueError, match="sound 0 of the style is silent"):
        QuiltingStyleTransfer(RATE).fit(0 * hiss[None])
    with pytest.raises(ValueError, match="the content contains NaN"):
        QuiltingStyleTransfer(RATE).fit(hiss[None]).transform(np.nan * clicks[None])
