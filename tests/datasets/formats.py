"""Formats that are read, and how well."""

# Largest error of a decoded sample, for a sound that peaks at .6: quantization for the exact
# codings, what the codec takes away for the others.
TOLERANCE = {
    "a.wav": 1 / 2**15,
    "a.flac": 1 / 2**15,
    "a.aiff": 1 / 2**15,
    "a.au": 1 / 2**15,
    "a.ogg": 0.06,
    "a.mp3": 0.06,
}
EXACT = ["a.wav", "a.flac", "a.aiff", "a.au"]
