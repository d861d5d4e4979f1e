"""Tables of spike times: what is refused, and how names appear in messages."""

import pytest

from skstrf.encoding import bin_spikes, load_spikes


@pytest.mark.parametrize(
    "content, message",
    [
        (b"trial,when\na,1\n", "has no column time"),
        (b"trial,time\na,nan\n", "line 2: a time must be a finite number"),
        (b"trial,time\na,soon\n", "line 2: a time must be a finite number"),
        (b"trial,time\n\xff\xfe,1\n", "not a table of comma-separated values"),
    ],
)
def test_tables_that_are_refused_are_named_with_escapes(content, message, tmp_path):
    path = tmp_path / "spikes\x1b[31m.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        load_spikes(path)
    assert "\x1b" not in str(caught.value)
    assert r"spikes\x1b[31m.csv" in str(caught.value)


@pytest.mark.parametrize("time", [-0.01, 0.04, float("nan")])
def test_spikes_outside_the_trial_are_refused(time):
    with pytest.raises(ValueError, match=r"Trial 1 of 0\.04 s has spikes outside it"):
        bin_spikes([[0.01], [time]], duration=0.04, frame_rate=100)
