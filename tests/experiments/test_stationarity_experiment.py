"""The comparison of representations, its statistics, its report and its command."""

import json

import numpy as np
import pytest
import soundfile
from scipy.stats import ttest_1samp, wilcoxon

from skstrf import MelTransformer, StationarityScorer, STFTTransformer
from skstrf.__main__ import main
from skstrf.experiments import (
    StationarityResults,
    make_representations,
    run_stationarity,
)
from skstrf.experiments.stationarity import (
    compare_pairs,
    detectable_difference,
    holm,
    mean_interval,
)

QUICK = StationarityScorer(n_surrogates=79, random_state=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Steady noise, noise that grows, and a file that is no sound."""
    place = tmp_path_factory.mktemp("sounds")
    rng = np.random.default_rng(0)
    for i in range(2):
        noise = 0.1 * rng.standard_normal(32000)
        soundfile.write(place / f"steady{i}.wav", noise, 16000)
        soundfile.write(place / f"growing{i}.wav", noise * np.geomspace(0.02, 2, 32000), 16000)
    return place


def two():
    return {"STFT": STFTTransformer(frame_rate=64), "Mel": MelTransformer(frame_rate=64)}


@pytest.fixture(scope="module")
def results(folder):
    files = sorted(map(str, folder.glob("*.wav")))
    return run_stationarity(files, representations=two(), duration=2.0, scorer=QUICK)


# Statistics


def test_holm_is_the_textbook_procedure():
    p = np.array([0.01, 0.04, 0.03, 0.005])
    np.testing.assert_allclose(holm(p), [0.03, 0.06, 0.06, 0.02])
    assert (holm(np.array([0.9, 0.8])) == 1).all()


def test_pairs_are_compared_by_wilcoxon():
    rng = np.random.default_rng(0)
    values = {name: rng.random(20) + 0.2 * i for i, name in enumerate("abc")}
    pairs = compare_pairs(values)
    assert [(p["first"], p["second"]) for p in pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    for pair in pairs:
        expected = wilcoxon(values[pair["first"]], values[pair["second"]]).pvalue
        assert pair["p_value"] == pytest.approx(expected)
        assert pair["p_holm"] >= pair["p_value"]
        assert np.sign(pair["rank_biserial"]) == -1
        assert pair["low"] < pair["difference"] < pair["high"]
    [tie] = compare_pairs({"a": np.ones(5), "b": np.ones(5)})
    assert tie["p_value"] == tie["p_holm"] == 1 and tie["rank_biserial"] == 0


def test_detectable_differences_are_found_four_times_in_five():
    rng = np.random.default_rng(0)
    size = detectable_difference(rng.standard_normal(4000)) * np.sqrt(4000 / 30)
    found = [ttest_1samp(rng.standard_normal(30) + size, 0).pvalue <= 0.05 for _ in range(400)]
    assert np.mean(found) == pytest.approx(0.78, abs=0.06)
    assert np.isnan(detectable_difference(np.ones(1)))


def test_interval_covers_the_mean_of_normal_data():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(60):
        _, low, high = mean_interval(rng.standard_normal(40), n_resamples=300)
        inside += low <= 0 <= high
    assert inside >= 50
    assert np.isnan(mean_interval(np.array([0.3]))[1])


# The experiment


def test_growing_sounds_are_less_stationary_in_time(results):
    growing = np.array(["growing" in name for name in results.files])
    for effects in results.values("time", "effect").values():
        assert effects[growing].min() > 0.3 > 0.1 > effects[~growing].max()
    for p in results.values("time", "p_value").values():
        assert (p[growing] <= 0.05).all()


def test_results_hold_every_axis_and_measure(results):
    assert results.names == ["STFT", "Mel"]
    assert results.axes("STFT") == ["frequency", "time", "plane"]
    assert len(results.table()) == 6
    assert all(0 <= row["stationarity"] <= 1 for row in results.table())
    assert "STFT" in results.summary()


def test_same_seed_same_results_in_chunks_or_not(results, folder):
    again = run_stationarity(results.files[:1], representations=two(), duration=2.0, scorer=QUICK)
    for name in results.names:
        np.testing.assert_allclose(
            again.values("time")[name], results.values("time")[name][:1], atol=0.05
        )


def test_nine_representations_with_enough_frames_and_channels():
    sound = np.random.default_rng(0).standard_normal((1, 32000)).astype(np.float32)
    made = make_representations(2.0)
    assert len(made) == 9
    for name, transformer in made.items():
        n_channels, n_frames = transformer.fit(sound).transform(sound).shape[-2:]
        assert n_frames >= 125, name
        assert n_channels >= 60, name


def test_too_short_a_duration_is_refused():
    with pytest.raises(ValueError, match="duration"):
        make_representations(0.001)


def test_bad_files_are_left_out_and_named(folder, tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_text("no sound")
    good = sorted(map(str, folder.glob("*.wav")))[:1]
    options = {"representations": two(), "duration": 2.0, "scorer": QUICK}
    with pytest.warns(UserWarning, match=r"(?s)1 of 2 sound files.*bad\.wav") as caught:
        found = run_stationarity([*good, str(bad)], on_error="warn", **options)
    assert caught[0].filename == __file__
    assert found.files == good and found.skipped[0][0] == str(bad)
    with pytest.raises(ValueError, match=r"bad\.wav"):
        run_stationarity([*good, str(bad)], **options)
    with pytest.raises(ValueError, match="filenames"):
        run_stationarity([], **options)


def test_report_and_json(results, tmp_path, page_faults):
    results.to_report(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "p (Holm)" in page and "Cochleogram" not in page
    assert page_faults(page) == []
    results.write_json(tmp_path / "results.json")
    read = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert len(read["measures"]["Mel"]["time"]["stationarity"]) == 4
    assert read["comparisons"]["time, stationarity"][0]["first"] == "STFT"


def test_command_writes_report_and_names_bad_files(folder, tmp_path, capsys, undrawn):
    options = ["--only", "mel", "--surrogates", "19", "--duration", "2"]
    assert main(["stationarity", str(folder), "-o", str(tmp_path), *options]) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report.html", "results.json"]
    assert "Mel" in capsys.readouterr().out
    assert main(["stationarity", str(folder), "-o", str(tmp_path), "--only", "x"]) == 2
    assert "STRF" in capsys.readouterr().err


def test_command_goes_on_without_bad_files(folder, tmp_path, capsys, undrawn):
    place = tmp_path / "sounds"
    place.mkdir()
    (place / "bad.wav").write_text("no sound")
    (place / "good.wav").write_bytes((folder / "steady0.wav").read_bytes())
    options = ["--only", "Mel", "--surrogates", "19", "--duration", "2"]
    assert main(["stationarity", str(place), "-o", str(tmp_path / "out"), *options]) == 1
    assert "bad.wav" in capsys.readouterr().err
    assert "bad.wav" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    (tmp_path / "empty").mkdir()
    assert main(["stationarity", str(tmp_path / "empty"), "-o", str(tmp_path / "none")]) == 2
    assert "no sound files" in capsys.readouterr().err


def test_results_of_one_sound_can_be_reported(tmp_path):
    axes = {"time": {m: np.ones(1) for m in ("stationarity", "rate", "p_value")}}
    lone = StationarityResults(
        measures={"a": axes, "b": axes}, files=["x.wav"], settings={"grid": (64, 128)}
    )
    lone.to_report(tmp_path / "report.html")
    assert (tmp_path / "report.html").stat().st_size > 1000
