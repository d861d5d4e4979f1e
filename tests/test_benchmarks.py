"""All benchmark scripts run with their smallest settings."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from skstrf import load_instruments

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Folders with the names and metadata of the collections, two clips per class and split."""
    folder = tmp_path_factory.mktemp("data")
    bundled = load_instruments(load_content=False)
    source = Path(bundled.filenames[0]).parents[1]
    header, *lines = (source / "metadata.csv").read_text().splitlines()
    chosen = []
    for name in ("alto_sax", "hand_drum"):
        for split in ("train", "valid", "test"):
            chosen += [line for line in lines if line.split(",")[1:3] == [name, split]][:2]
    for name, rows in {
        "cc0_instruments": chosen,
        "cc0_instruments_new_library": [row.replace(",test,", ",new_library,") for row in chosen],
        "cc_music_excerpts": chosen,
    }.items():
        if name == "cc0_instruments_new_library":
            rows = [row for row in rows if ",new_library," in row]
        for row in rows:
            path = folder / name / row.split(",")[0]
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / row.split(",")[0], path)
        (folder / name / "metadata.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder


# {data}: folder of collections, {out}: empty folder, {sound}: a sound file.
SCRIPTS = {
    "augmentation": "{data} level --quick --output {out}/a.csv",
    "bench_auditory": "--repeats 1",
    "bench_mpca": "--data small --repeats 1",
    "busy_machine": "--quick --repeats 1 --spinning",
    "channels": "{data} --seeds 1 --best 1 --mpca 0.8 --output {out}",
    "classification": "{data} --quick --output {out}/c.json",
    "gpu": "--quick --output {out}/g.csv",
    "encoding": "--quick",
    "inversion": "{data}/cc0_instruments --count 1 --output {out}/i.csv",
    "long_sound": "--seconds 10",
    "memory": "--clips 2 --seconds 1",
    "mpca_out_of_core": "--gigabytes 0.1 --folder {out}",
    "representations": "{data} --seeds 1 --max-epochs 1 --output {out}/r.csv",
    "scaling": "--clips 4 --workers 1 --seconds 0.5 --repeats 1",
    "search": "--sounds 30",
    "streaming": "{data} --quick",
    "stationarity": "{data} --clips 2 --surrogates 19 --settings raw contrast --n-jobs 1 "
    "--output {out}",
    "stationarity_calibration": "--draws 1 --power-draws 1 --surrogates 19 --others 1 "
    "--shape 16 64 --tables size power --output {out}",
    "style": "{sound} {sound} --seconds 1 --max-iter 1 --output {out}/t.csv",
    "training": "--samples 20 --frames 5 --epochs 2 --output {out}/n.csv",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_runs(name, data, tmp_path):
    sound = next((data / "cc0_instruments").rglob("*.ogg"))
    arguments = SCRIPTS[name].format(data=data, out=tmp_path, sound=sound).split()
    result = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert result.returncode == 0, result.stderr[-3000:]
