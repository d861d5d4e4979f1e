"""Retrieval of versions from collections of tensors, sounds and files."""

import time

import numpy as np
import pytest
import soundfile
from scipy.stats import rankdata
from sklearn.preprocessing import FunctionTransformer

from skstrf import AudioLoader, ChromaTransformer, VersionRetriever
from skstrf.pipeline import CachedPipeline
from skstrf.versions import qmax, retrieval_scores, retriever
from skstrf.versions.features import equalize, fourier_magnitudes, stretch, trim_silence


def melody(seed, n=24):
    """Pitch classes of a random tune, which repeats its beginning."""
    notes = np.random.default_rng(seed).integers(12, size=n)
    notes[n // 2 : n // 2 + n // 4] = notes[: n // 4]
    return notes


def chromagram(notes, *, length=8, shift=0, noise=0.3, seed=0):
    rng = np.random.default_rng(seed)
    chroma = np.eye(12)[(notes + shift) % 12].T.repeat(length, axis=1)
    return chroma + noise * rng.random(chroma.shape)


def sound(notes, *, seconds=0.25, shift=0, harmonics=3, rate=16000):
    t = np.arange(int(seconds * rate)) / rate
    envelope = np.minimum(1, 40 * t) * np.exp(-3 * t)
    tones = [
        sum(
            np.sin(2 * np.pi * 440 * 2 ** ((n + shift) / 12) * k * t) / k
            for k in range(1, harmonics + 1)
        )
        for n in notes
    ]
    return np.concatenate([tone * envelope for tone in tones]).astype(np.float32)


@pytest.fixture(scope="module")
def collection():
    """Three versions of eight tunes, in other keys and tempi."""
    rng = np.random.default_rng(0)
    pieces = [
        chromagram(melody(k), length=int(rng.integers(5, 14)), shift=int(rng.integers(12)), seed=v)
        for k in range(8)
        for v in range(3)
    ]
    return pieces, np.repeat(np.arange(8), 3)


@pytest.mark.parametrize("distance", ["2dftm", "qmax", "both"])
def test_versions_are_found(collection, distance):
    pieces, works = collection
    fitted = VersionRetriever(distance=distance).fit(pieces, works)
    found = retrieval_scores(fitted.distances(), works)
    assert found["mean_average_precision"] > 0.9 > 0.3 > found["chance"]
    assert (fitted.works_[fitted.rank()[:, 0]] == works).mean() > 0.9


@pytest.mark.parametrize("distance", ["2dftm", "qmax"])
def test_key_alone_changes_nothing(collection, distance):
    pieces, works = collection
    fitted = VersionRetriever(distance=distance).fit(pieces, works)
    turned = [np.roll(piece, 1 + i % 11, axis=0) for i, piece in enumerate(pieces)]
    np.testing.assert_allclose(fitted.transform(turned), fitted.distances(), atol=1e-6)
    keyed = VersionRetriever(distance=distance, key_invariant=False).fit(pieces, works)
    far = keyed.transform(turned).diagonal()
    assert np.all(far > 1.5 * fitted.transform(turned).diagonal())


@pytest.mark.parametrize("distance", ["2dftm", "qmax"])
def test_tempo_alone_changes_nothing(distance):
    pieces = [chromagram(melody(k), noise=0) for k in range(5)]
    slow = [np.repeat(piece, 3, axis=1) for piece in pieces]
    fitted = VersionRetriever(distance=distance).fit(pieces)
    # Rounding errors decide which of equal distances are among the nearest.
    tolerance = 0.01 if distance == "qmax" else 1e-6
    np.testing.assert_allclose(fitted.transform(slow), fitted.distances(), atol=tolerance)
    strict = VersionRetriever(distance=distance, tempo_invariant=False).fit(pieces)
    assert np.all(strict.transform(slow).diagonal() > strict.distances().diagonal() + 1e-3)


@pytest.mark.parametrize("distance", ["2dftm", "qmax"])
def test_excerpts_at_the_same_tempo_are_found(distance):
    pieces = [chromagram(melody(k, n=60), noise=0.1, seed=k) for k in range(6)]
    options = {"key_invariant": False, "tempo_invariant": False}
    fitted = VersionRetriever(distance=distance, **options).fit(pieces)
    excerpts = [piece[:, 150:350] for piece in pieces]
    assert (fitted.rank(excerpts)[:, 0] == np.arange(6)).all()


def test_sounds_in_other_keys_tempi_and_timbres_are_found():
    pieces = [sound(melody(k)) for k in range(4)]
    others = [sound(melody(k), seconds=0.35, shift=3, harmonics=6) for k in range(4)]
    for distance in ("2dftm", "qmax"):
        fitted = VersionRetriever(distance=distance).fit(pieces, list("abcd"))
        assert fitted.works_[fitted.rank(others)[:, 0]].tolist() == list("abcd")
        assert fitted.distances().dtype == np.float32


def test_files_are_read_at_one_rate(tmp_path):
    paths = []
    for k, rate in enumerate([16000, 22050, 44100]):
        paths.append(tmp_path / f"{k}.wav")
        soundfile.write(paths[-1], sound(melody(k), rate=rate), rate)
    reads = CachedPipeline([
        ("loader", AudioLoader(sample_rate=16000)), ("chroma", retriever.default_chroma()),
    ])  # fmt: skip
    fitted = VersionRetriever(reads).fit([str(path) for path in paths])
    assert (fitted.rank([sound(melody(k), shift=2) for k in range(3)])[:, 0] == range(3)).all()


def test_distance_of_alignments_is_that_of_the_function(collection):
    pieces = collection[0][:5]
    found = VersionRetriever(distance="qmax").fit(pieces).distances()
    for i in range(5):
        for j in range(5):
            a, b = (stretch(equalize(pieces[k]), 128) for k in (i, j))
            assert found[i, j] == pytest.approx(np.sqrt(119) / qmax(a, b), rel=1e-6)


def test_magnitudes_do_not_depend_on_circular_shifts():
    chroma = chromagram(melody(0), length=16)[:, :256]
    expected = fourier_magnitudes(chroma, 128)
    full = np.abs(np.fft.fft2(stretch(chroma**2, 128)))[:, :65].ravel()
    np.testing.assert_allclose(expected, full / np.linalg.norm(full), atol=1e-12)
    moved = np.roll(chroma, (5, 64), axis=(0, 1))
    np.testing.assert_allclose(fourier_magnitudes(moved, 128), expected, atol=1e-12)


def test_stretching_keeps_means_and_trimming_cuts_zeros():
    chroma = np.random.default_rng(0).random((12, 50))
    np.testing.assert_allclose(stretch(chroma, 128).mean(axis=1), chroma.mean(axis=1))
    np.testing.assert_allclose(stretch(chroma, 25), chroma.reshape(12, 25, 2).mean(axis=2))
    padded = np.pad(chroma, ((0, 0), (7, 30)))
    np.testing.assert_array_equal(trim_silence(padded), chroma)


def test_neighbors_are_the_first_of_the_ranked_list(collection):
    pieces, works = collection
    for distance in ("2dftm", "qmax", "both"):
        fitted = VersionRetriever(distance=distance).fit(pieces, works)
        for queries in (None, pieces[:4]):
            distances, indices = fitted.kneighbors(queries, 6)
            table = fitted.distances(queries)
            if queries is None:
                assert not (indices == np.arange(24)[:, None]).any()
                assert fitted.rank().shape == (24, 23)
            np.testing.assert_allclose(
                distances, np.take_along_axis(table, indices, axis=1), atol=1e-6
            )
            assert (np.diff(distances, axis=1) >= 0).all()
    with pytest.raises(ValueError, match="has 23 pieces to be found"):
        fitted.kneighbors(n_neighbors=24)


def test_a_query_of_the_collection_finds_itself_first(collection):
    pieces, _ = collection
    for distance in ("2dftm", "qmax"):
        fitted = VersionRetriever(distance=distance).fit(pieces)
        found = fitted.transform(pieces)
        np.testing.assert_array_equal(found.diagonal(), found.min(axis=1))


def test_both_is_the_mean_of_the_ranks(collection):
    pieces, _ = collection
    ranks = [
        rankdata(VersionRetriever(distance=name).fit(pieces).distances(), axis=1)
        for name in ("2dftm", "qmax")
    ]
    both = VersionRetriever(distance="both").fit(pieces).distances()
    np.testing.assert_allclose(both, (ranks[0] + ranks[1]) / 48)


def test_threads_and_cache_give_the_same_and_resume(collection, tmp_path, monkeypatch):
    pieces, _ = collection
    expected = VersionRetriever(distance="qmax").fit(pieces).distances()
    threads = VersionRetriever(distance="qmax", n_jobs=2).fit(pieces).distances()
    np.testing.assert_array_equal(threads, expected)
    calls = []
    scores = retriever.qmax_scores

    def counted(query, *args, **options):
        calls.append(len(calls))
        if len(calls) == 10:
            raise KeyboardInterrupt
        return scores(query, *args, **options)

    monkeypatch.setattr(retriever, "qmax_scores", counted)
    cached = VersionRetriever(distance="qmax", memory=tmp_path).fit(pieces)
    with pytest.raises(KeyboardInterrupt):
        cached.distances()
    np.testing.assert_array_equal(cached.distances(), expected)
    assert len(calls) == 10 + 24 - 8  # two blocks of four queries were kept
    np.testing.assert_array_equal(cached.distances(), expected)
    assert len(calls) == 26


def test_progress_is_shown_if_wanted(collection, capsys):
    VersionRetriever(distance="qmax", verbose=True).fit(collection[0][:4]).distances()
    assert "Alignments" in capsys.readouterr().err


@pytest.mark.parametrize(("distance", "largest"), [("2dftm", 1.0), ("qmax", np.inf)])
def test_silence_is_far_from_everything(collection, distance, largest):
    pieces = [*collection[0][:3], np.zeros((12, 200)), np.zeros((12, 100))]
    with pytest.warns(UserWarning, match="without sound: 3, 4"):
        fitted = VersionRetriever(distance=distance).fit(pieces)
    found = fitted.distances()
    assert (found[3:] == largest).all() and (found[:, 3:] == largest).all()
    with pytest.warns(UserWarning, match="without sound: 0"):
        assert (fitted.transform([np.zeros((12, 50))]) == largest).all()


def test_embedding_compares_vectors_of_the_representation():
    X = np.random.default_rng(0).random((20, 12, 30))
    mean = FunctionTransformer(lambda X: np.asarray(X).mean(axis=2))
    fitted = VersionRetriever(mean, distance="embedding").fit(X)
    a, b = X[3].mean(axis=1), X[7].mean(axis=1)
    cosine = 1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    assert fitted.distances()[3, 7] == pytest.approx(cosine)
    assert fitted.distances(X[:2]).shape == (2, 20)


def test_ten_thousand_embeddings_are_ranked_in_seconds():
    X = np.random.default_rng(0).standard_normal((10000, 128)).astype(np.float32)
    fitted = VersionRetriever(FunctionTransformer(), distance="embedding").fit(X)
    start = time.process_time()
    indices = fitted.kneighbors(X[:1000] + 0.1, 10, return_distance=False)
    assert (indices[:, 0] == np.arange(1000)).all()
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("X", "options", "message"),
    [
        ([np.ones((12, 9))], {"distance": "qmax"}, "Piece 0 has 9 frames"),
        ([np.ones((12, 20)), np.ones((24, 20))], {}, "12 and 24 pitch classes"),
        ([np.ones((12, 20)), np.full((12, 9), np.nan)], {}, "Piece 1 contains NaN"),
        ([np.full((12, 20), -1.0)], {}, "must not be negative"),
        ([], {}, "holds no piece"),
        ([np.ones((2, 3, 12, 20)), np.ones(3)], {}, "Sounds must be mono"),
        (np.ones((2, 3, 12, 20)), {}, "Pieces must be sounds"),
        ([np.array(["a"])], {}, "array of real numbers"),
        ([np.ones((12, 20))], {"distance": "embedding"}, "give the transformer"),
        ([np.ones((12, 20))], {"distance": "dmax"}, "distance"),
    ],
)
def test_wrong_input_is_refused(X, options, message):
    with pytest.raises(ValueError, match=message):
        VersionRetriever(**options).fit(X)


def test_works_must_match_and_queries_have_the_same_pitch_classes():
    with pytest.raises(ValueError, match="inconsistent numbers"):
        VersionRetriever().fit(np.ones((3, 12, 20)), ["a", "b"])
    fitted = VersionRetriever().fit(np.ones((3, 12, 20)))
    with pytest.raises(ValueError, match="12 and 24 pitch classes"):
        fitted.transform([np.ones((24, 20))])
    with pytest.raises(ValueError, match="shape"):
        fitted.transform(np.ones((3, 12, 19)))


def test_representation_is_that_of_the_user():
    notes = melody(0)
    chroma = ChromaTransformer(n_chroma=24)
    fitted = VersionRetriever(chroma).fit([sound(notes), sound(notes[::-1])])
    assert fitted.n_pitch_classes_ == 24
