"""load_audio_folder: sub-folders or a CSV file to sounds with labels."""

import csv
import os
import warnings

import numpy as np
import pytest

from skstrf.datasets import AudioReadError, find_audio_files, load_audio_folder, read_audio

RATE = 16000


@pytest.fixture
def folder(write, tmp_path):
    """Three classes of four sounds, some lying deeper, of several formats."""
    for name in ("horn", "bell", "drum"):
        for i, extension in enumerate(["wav", "flac", "ogg"]):
            write(f"{name}/{i}.{extension}", sample_rate=RATE, seconds=0.1 + 0.01 * i)
        write(f"{name}/deep/er/3.WAV", sample_rate=RATE, seconds=0.1)
    return tmp_path


def write_csv(path, rows, encoding="utf-8"):
    with open(path, "w", newline="", encoding=encoding) as file:
        csv.writer(file).writerows(rows)
    return path


@pytest.fixture
def table(folder):
    """The same folder with a table that gives other classes than the sub-folders."""
    rows = [["file", "class", "split", "group", "player"]]
    for name in ("horn", "bell", "drum"):
        for i, extension in enumerate(["wav", "flac", "ogg"]):
            label = "metal" if name != "drum" else "skin"
            split = "train" if i < 2 else "test"
            rows.append([f"{name}/{i}.{extension}", label, split, f"g{i}", f"Player, {name}"])
    write_csv(folder / "metadata.csv", rows)
    return folder


def test_classes_are_the_sub_folders(folder):
    bunch = load_audio_folder(folder)
    assert bunch.data.shape == (12, 1920) and bunch.data.dtype == np.float32
    assert bunch.target_names == ["bell", "drum", "horn"]
    np.testing.assert_array_equal(bunch.target, np.repeat([0, 1, 2], 4))
    relative = [os.path.relpath(name, folder) for name in bunch.filenames]
    assert relative[:4] == ["bell/0.wav", "bell/1.flac", "bell/2.ogg", "bell/deep/er/3.WAV"]
    assert relative == sorted(relative)
    assert bunch.split is None and bunch.groups is None and bunch.skipped == []
    assert bunch.sample_rate == RATE and bunch.metadata == {}
    assert "12 sounds of 3 classes" in bunch.DESCR
    for sound, name in zip(bunch.data, bunch.filenames, strict=True):
        np.testing.assert_array_equal(sound, read_audio(name, duration=0.12))


def test_settings_reach_the_reader(folder):
    bunch = load_audio_folder(str(folder), sample_rate=8000, duration=0.05, offset=0.02, n_jobs=2)
    assert bunch.data.shape == (12, 400) and bunch.sample_rate == 8000
    expected = read_audio(bunch.filenames[1], sample_rate=8000, duration=0.05, offset=0.02)
    np.testing.assert_array_equal(bunch.data[1], expected)


def test_without_content(folder):
    bunch = load_audio_folder(folder, load_content=False)
    assert "data" not in bunch and bunch.filenames.shape == bunch.target.shape == (12,)


def test_a_very_long_sound_is_listed_but_not_loaded_whole(folder, write):
    write("bell/long.flac", np.zeros(3700 * 1000, dtype=np.int16), 1000)
    assert len(load_audio_folder(folder, load_content=False).filenames) == 13
    assert load_audio_folder(folder, duration=0.1).data.shape == (13, 1600)
    with pytest.raises(AudioReadError, match=r"long.flac: declares 3700 s.*Give a duration"):
        load_audio_folder(folder)


def test_order_does_not_depend_on_the_file_system(folder, monkeypatch):
    expected = load_audio_folder(folder, load_content=False)
    walk = os.walk

    def reversed_walk(*args, **kwargs):
        for place, folders, files in walk(*args, **kwargs):
            folders.reverse()
            yield place, folders, files[::-1]

    monkeypatch.setattr(os, "walk", reversed_walk)
    got = load_audio_folder(folder, load_content=False)
    np.testing.assert_array_equal(got.filenames, expected.filenames)
    np.testing.assert_array_equal(got.target, expected.target)


def test_what_is_passed_over(folder):
    (folder / "bell" / "notes.txt").write_text("text")
    (folder / "bell" / ".hidden.wav").write_text("text")
    (folder / "bell" / ".trash").mkdir()
    (folder / "bell" / ".trash" / "a.wav").write_text("text")
    (folder / ".git").mkdir()
    (folder / ".git" / "a.wav").write_text("text")
    (folder / "papers").mkdir()
    (folder / "papers" / "a.pdf").write_text("text")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bunch = load_audio_folder(folder)
    assert len(bunch.filenames) == 12 and bunch.target_names == ["bell", "drum", "horn"]


def test_sounds_outside_every_class_are_reported(folder, write):
    write("loose.wav")
    with pytest.warns(UserWarning, match=r"1 sound files lie outside every class(.|\n)*loose.wav"):
        bunch = load_audio_folder(folder)
    assert bunch.skipped == [(str(folder / "loose.wav"), bunch.skipped[0][1])]
    assert len(bunch.filenames) == 12


def test_links_in_circles_end(folder):
    (folder / "bell" / "again").symlink_to(folder / "bell", target_is_directory=True)
    (folder / "bell" / "deep" / "up").symlink_to(folder, target_is_directory=True)
    (folder / "horn" / "self").symlink_to(folder / "horn" / "self")
    with pytest.warns(UserWarning, match="2 links lead to sounds"):
        bunch = load_audio_folder(folder, load_content=False)
    assert len(bunch.filenames) == 12
    assert len(find_audio_files(folder)) == 12


def test_linked_classes_are_read(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    for name in ("bell", "horn"):
        (other / name).symlink_to(folder / name, target_is_directory=True)
    assert load_audio_folder(other).target_names == ["bell", "horn"]


def test_categories(folder):
    bunch = load_audio_folder(folder, categories=["horn", "bell"])
    assert bunch.target_names == ["bell", "horn"] and len(bunch.data) == 8
    with pytest.raises(ValueError, match="categories names gong, but the classes are bell, drum"):
        load_audio_folder(folder, categories=["gong", "bell"])


# ---------------------------------------------------------------------- bad files


@pytest.fixture
def spoilt(folder):
    (folder / "bell" / "1.flac").write_text("no sound " * 99)
    (folder / "horn" / "2.ogg").write_bytes(b"")
    (folder / "horn" / "x.m4a").write_bytes(b"\0\0\0 ftypM4A " + b"\0" * 99)
    return folder


@pytest.mark.parametrize("settings", [{}, {"duration": 0.1}, {"load_content": False}])
def test_bad_files_are_dropped_with_their_labels(spoilt, settings):
    with pytest.warns(UserWarning, match="3 of 13 sound files") as caught:
        bunch = load_audio_folder(spoilt, on_error="warn", **settings)
    assert len(caught) == 1
    names = {os.path.relpath(path, spoilt): reason for path, reason in bunch.skipped}
    assert list(names) == ["bell/1.flac", "horn/2.ogg", "horn/x.m4a"]
    assert "not sound" in names["bell/1.flac"] and "empty" in names["horn/2.ogg"]
    assert "Convert" in names["horn/x.m4a"]
    assert all(str(spoilt / name) in str(caught[0].message) for name in names)
    np.testing.assert_array_equal(bunch.target, [0] * 3 + [1] * 4 + [2] * 3)
    for name, label in zip(bunch.filenames, bunch.target, strict=True):
        assert os.path.relpath(name, spoilt).startswith(bunch.target_names[label])
    if "data" in bunch:
        assert bunch.data.shape == (10, 1600 if settings else 1920)
        assert bunch.data.any(axis=1).all()


@pytest.mark.parametrize("settings", [{}, {"duration": 0.1}, {"load_content": False}])
def test_the_first_bad_file_raises_by_default(spoilt, settings):
    with pytest.raises(AudioReadError, match=r"1.flac"):
        load_audio_folder(spoilt, **settings)


def test_a_header_that_promises_too_much_does_not_lengthen_the_others(folder, write):
    path = write("bell/0.flac", sample_rate=RATE, seconds=0.1)
    content = bytearray(path.read_bytes())
    field = int.from_bytes(content[18:26], "big") >> 36 << 36 | 10 * RATE
    content[18:26] = field.to_bytes(8, "big")
    path.write_bytes(content)
    with pytest.warns(UserWarning, match="cut short"):
        bunch = load_audio_folder(folder, on_error="warn")
    assert bunch.data.shape == (12, 1920)


def test_a_class_of_bad_files_keeps_its_place_and_is_reported(folder):
    for path in find_audio_files(folder / "drum"):
        os.truncate(path, 0)
    with pytest.warns(UserWarning, match=r"(?s)4 of 12.*fewer than 2 sounds: drum \(0\)"):
        bunch = load_audio_folder(folder, on_error="warn")
    assert bunch.target_names == ["bell", "drum", "horn"] and set(bunch.target) == {0, 2}
    for path in find_audio_files(folder / "horn"):
        os.truncate(path, 0)
    with pytest.raises(ValueError, match=r"8 of 12.*one class is left, but two are needed"):
        load_audio_folder(folder, on_error="warn")
    for path in find_audio_files(folder / "bell"):
        os.truncate(path, 0)
    with pytest.raises(ValueError, match=r"12 of 12.*nothing is left"):
        load_audio_folder(folder, on_error="warn")


def test_a_class_with_one_file(folder, write):
    write("gong/a.wav")
    with pytest.warns(UserWarning, match=r"fewer than 2 sounds: gong \(1\).*Cross-validation"):
        bunch = load_audio_folder(folder)
    assert bunch.target_names == ["bell", "drum", "gong", "horn"]
    with pytest.warns(UserWarning, match=r"fewer than 5 sounds: bell \(4\)"):
        load_audio_folder(folder, min_per_class=5)


# ---------------------------------------------------------------------- bad folders


def test_folder_that_is_none(tmp_path, write):
    with pytest.raises(ValueError, match=r"does not exist. Check the spelling"):
        load_audio_folder(tmp_path / "no")
    path = write("a.wav")
    with pytest.raises(ValueError, match=r"is a file, not a folder. Pass the folder"):
        load_audio_folder(path)
    with pytest.raises(ValueError, match="is a file, not a folder"):
        find_audio_files(path)


def test_no_audio(tmp_path, write):
    with pytest.raises(ValueError, match=r"No sound files.*Known extensions: .aif .aifc"):
        load_audio_folder(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "a.txt").write_text("text")
    with pytest.raises(ValueError, match="No sound files"):
        load_audio_folder(tmp_path)
    write("a.wav")
    with pytest.raises(ValueError, match="1 lie in the folder itself: put them into one sub-fold"):
        load_audio_folder(tmp_path)


def test_one_class(tmp_path, write):
    write("bell/a.wav")
    write("bell/b.wav")
    with pytest.raises(ValueError, match=r"Only one class: bell. A classifier needs two"):
        load_audio_folder(tmp_path)


def test_a_folder_that_cannot_be_listed(folder, monkeypatch):
    walk = os.walk

    def refusing(top, onerror=None, **kwargs):
        onerror(PermissionError(13, "Permission denied", str(top)))
        return walk(top, onerror=onerror, **kwargs)

    monkeypatch.setattr(os, "walk", refusing)
    with pytest.raises(ValueError, match="cannot be listed: Permission denied"):
        load_audio_folder(folder)


@pytest.mark.parametrize(
    "settings",
    [{"on_error": "skip"}, {"metadata": True}, {"split": 3}, {"min_per_class": 0}, {"path": 3}],
)
def test_bad_arguments(folder, settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        load_audio_folder(**({"path": folder} | settings))


# ---------------------------------------------------------------------- tables


def test_a_table_in_the_folder_is_used(table):
    bunch = load_audio_folder(table)
    assert bunch.data.shape == (9, 1920)
    assert bunch.target_names == ["metal", "skin"]
    np.testing.assert_array_equal(bunch.target, [0] * 3 + [1] * 3 + [0] * 3)
    assert list(bunch.split) == ["train", "train", "test"] * 3
    assert list(bunch.groups) == ["g0", "g1", "g2"] * 3
    assert list(bunch.metadata) == ["player"]
    assert bunch.metadata["player"][-1] == "Player, horn"


def test_a_table_may_be_ignored_or_lie_elsewhere(table, tmp_path_factory):
    assert load_audio_folder(table, metadata=False).target_names == ["bell", "drum", "horn"]
    other = tmp_path_factory.mktemp("tables") / "t.csv"
    write_csv(other, [["class", "file"], ["x", "bell/0.wav"], ["y", "horn/0.wav"]])
    bunch = load_audio_folder(table, metadata=other, min_per_class=1)
    assert bunch.target_names == ["x", "y"] and bunch.split is None and bunch.groups is None


def test_splits_keep_the_same_labels(table):
    whole = load_audio_folder(table)
    test = load_audio_folder(table, split="test")
    np.testing.assert_array_equal(test.data, whole.data[whole.split == "test"])
    np.testing.assert_array_equal(test.target, whole.target[whole.split == "test"])
    assert test.target_names == whole.target_names
    both = load_audio_folder(table, split=["train", "test"])
    np.testing.assert_array_equal(both.data, whole.data)
    with pytest.raises(ValueError, match="split names dev, but the splits are test, train"):
        load_audio_folder(table, split="dev")
    with pytest.raises(ValueError, match="no CSV file with a split column"):
        load_audio_folder(table, metadata=False, split="test")


def test_a_split_of_one_class_is_legal(folder):
    rows = [["file", "class", "split"], ["bell/0.wav", "b", "train"], ["horn/0.wav", "h", "test"]]
    write_csv(folder / "metadata.csv", rows)
    bunch = load_audio_folder(folder, split="test")
    assert list(bunch.target) == [1] and bunch.target_names == ["b", "h"]


def test_marks_and_indices_that_other_programs_leave(folder):
    rows = [["", "file", "class"], ["0", "bell/0.wav", " b "], [], ["1", "./horn//0.wav", "h"]]
    write_csv(folder / "metadata.csv", rows, encoding="utf-8-sig")
    bunch = load_audio_folder(folder, min_per_class=1)
    assert bunch.target_names == ["b", "h"] and bunch.metadata == {}
    assert bunch.filenames[1] == str(folder / "horn" / "0.wav")


def test_a_missing_file_counts_as_a_bad_one(table):
    (table / "bell" / "0.wav").unlink()
    with pytest.raises(AudioReadError, match=r"0.wav: does not exist"):
        load_audio_folder(table)
    with pytest.warns(UserWarning, match="1 of 9"):
        bunch = load_audio_folder(table, on_error="warn")
    assert len(bunch.data) == len(bunch.split) == len(bunch.metadata["player"]) == 8
    assert bunch.skipped[0][0] == str(table / "bell" / "0.wav")


BELL, HORN = ["bell/0.wav", "b"], ["horn/0.wav", "h"]


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ([["name", "label"], BELL], "lacks the columns file and class; it has: name, label"),
        ([["file", "label"], BELL], "lacks the column class; it has: file, label"),
        ([["file;class"], ["bell/0.wav;b"]], "it has: file;class.*commas"),
        ([], "it has: nothing"),
        ([["file", "class"]], "names no sound"),
        ([["file", "class", "class"], [*BELL, "c"]], "two columns of the same name"),
        ([["file", "class"], BELL, ["", "h"]], "line 3: file is empty"),
        ([["file", "class"], BELL, ["horn/0.wav", " "]], "line 3: class is empty"),
        ([["file", "class"], BELL, ["horn/0.wav"]], "line 3: the number of cells"),
        ([["file", "class"], BELL, [*HORN, "more"]], "line 3: the number of cells"),
        ([["file", "class"], BELL, HORN, BELL], "line 4: bell/0.wav is listed before, in line 2"),
        ([["file", "class"], BELL, ["horn/../bell/0.wav", "h"]], "listed before, in line 2"),
        ([["file", "class"], BELL, ["../a.wav", "h"]], r"line 3: ../a.wav does not lie inside"),
        ([["file", "class"], BELL, ["horn/../../a.wav", "h"]], "does not lie inside"),
        ([["file", "class"], BELL, ["/etc/passwd", "h"]], "/etc/passwd does not lie inside"),
        ([["file", "class"], BELL, [".", "h"]], "does not lie inside"),
        ([["file", "class"], BELL, ["horn/0.wav", "b"]], "Only one class: b"),
    ],
)
def test_bad_tables(folder, rows, match):
    write_csv(folder / "metadata.csv", rows)
    with pytest.raises(ValueError, match=match):
        load_audio_folder(folder)


def test_tables_that_cannot_be_read(folder):
    with pytest.raises(ValueError, match=r"no.csv does not exist"):
        load_audio_folder(folder, metadata=folder / "no.csv")
    path = folder / "t.csv"
    path.write_bytes("file,class\nbell/0.wav,Glöckchen\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"not in UTF-8.*Save it"):
        load_audio_folder(folder, metadata=path)
    path.write_text('file,class\nbell/0.wav,"b')
    with pytest.raises(ValueError, match="is not a CSV file"):
        load_audio_folder(folder, metadata=path)


def test_progress_is_shown_when_verbose(folder, capsys):
    load_audio_folder(folder, duration=0.1, verbose=True)
    assert "12/12" in capsys.readouterr().err


def link(name, target):
    name.symlink_to(target, target_is_directory=target.is_dir())


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("train", "test"), ["test", "train"]),
        (("Training", "val", "TEST"), ["TEST", "Training", "val"]),
    ],
)
def test_sub_folders_named_like_splits_are_splits(write, tmp_path, names, splits):
    for split in names:
        for label in ("bell", "horn"):
            write(f"{split}/{label}/deep/0.wav")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bunch = load_audio_folder(tmp_path, min_per_class=1)
    assert bunch.target_names == ["bell", "horn"]
    assert sorted(set(bunch.split)) == splits
    assert set(load_audio_folder(tmp_path, split=splits[0], min_per_class=1).split) == {splits[0]}


def test_classes_named_like_splits_cause_a_warning(write, tmp_path):
    for split in ("train", "test"):
        write(f"{split}/0.wav"), write(f"{split}/1.wav")
    with pytest.warns(UserWarning, match="called test, train, like splits"):
        bunch = load_audio_folder(tmp_path)
    assert bunch.target_names == ["test", "train"] and bunch.split is None


def test_one_class_named_like_a_split_is_a_class(folder, write):
    write("train/deep/0.wav"), write("train/deep/1.wav")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_audio_folder(folder).target_names == ["bell", "drum", "horn", "train"]


def test_a_sound_beside_classes_of_splits_is_named(write, tmp_path):
    for name in ("train/a/0.wav", "train/b/0.wav", "test/a/0.wav", "test/b/0.wav", "test/x.wav"):
        write(name)
    with pytest.warns(UserWarning, match=r"outside every class(.|\n)*test/x.wav"):
        assert len(load_audio_folder(tmp_path).filenames) == 4


def test_links_label_no_file_twice(folder):
    link(folder / "bell" / "horns", folder / "horn")  # another class
    link(folder / "bell" / "up", folder)  # the parent
    link(folder / "drum" / "9.wav", folder / "horn" / "0.wav")  # a file of another class
    link(folder / "a", folder / "horn")  # a class under another name
    (folder / "none").mkdir()
    link(folder / "bell" / "none", folder / "none")  # without sounds, and so without a word
    with pytest.warns(UserWarning, match="4 links lead to sounds") as record:
        bunch = load_audio_folder(folder)
    assert "bell/none" not in str(record[0].message)
    assert bunch.target_names == ["bell", "drum", "horn"]
    names = [os.path.relpath(name, folder) for name in bunch.filenames]
    labels = [bunch.target_names[code] for code in bunch.target]
    assert [name.split(os.sep)[0] for name in names] == labels
    assert len({os.path.realpath(name) for name in bunch.filenames}) == len(names) == 12
    assert [os.path.basename(name) for name, _ in bunch.skipped] == ["a", "horns", "up", "9.wav"]
    assert find_audio_files(folder) == [str(name) for name in bunch.filenames]


def test_hard_links_label_no_file_twice(folder):
    os.link(folder / "horn" / "0.wav", folder / "bell" / "x.wav")
    with pytest.warns(UserWarning, match=r"horn/0.wav: leads to \S*bell/x.wav, which"):
        assert len(load_audio_folder(folder).filenames) == 12


def test_a_table_labels_no_file_twice(folder):
    link(folder / "bell" / "x.wav", folder / "horn" / "0.wav")
    rows = [["file", "class"], HORN, BELL, ["bell/x.wav", "h"]]
    write_csv(folder / "metadata.csv", rows)
    assert len(load_audio_folder(folder, min_per_class=1).filenames) == 3
    rows[-1][1] = "b"
    write_csv(folder / "metadata.csv", rows)
    with pytest.raises(ValueError, match=r"line 4: bell/x.wav is the same file as horn/0"):
        load_audio_folder(folder)


def test_a_table_names_files_that_are_not_utf8(folder):
    os.rename(folder / "bell" / "0.wav", os.fsencode(folder / "bell") + b"/\xff.wav")
    (folder / "metadata.csv").write_bytes(b"file,class\nbell/\xff.wav,b\nhorn/0.wav,h\n")
    assert len(load_audio_folder(folder, min_per_class=1).data) == 2


def test_a_file_system_without_numbers_of_files(folder, monkeypatch):
    stat = os.stat
    monkeypatch.setattr(os, "stat", lambda *a, **k: os.stat_result([*stat(*a, **k)][:1] + [0] * 9))
    link(folder / "bell" / "up", folder)
    link(folder / "bell" / "horns", folder / "horn")
    assert len(find_audio_files(folder)) == 12
