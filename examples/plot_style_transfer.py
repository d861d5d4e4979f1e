"""
Style transfer
==============

What one sound plays, in the texture of another: a saxophone made of drum strokes, straight to the
waveform.
"""

import matplotlib.pyplot as plt
from IPython.display import Audio

from skstrf import (
    FastStyleTransfer,
    STRFTransformer,
    StyleTransfer,
    load_instruments,
)
from skstrf.inspection import StyleTransferDisplay

# %%
# A content and a style
# ---------------------

instruments = load_instruments(split="test", duration=2.0)
names = [instruments.target_names[k] for k in instruments.target]
content = instruments.data[names.index("alto_sax")][None]
style = instruments.data[names.index("hand_drum")][None]
Audio(content[0], rate=16000)

# %%
Audio(style[0], rate=16000)

# %%
# Random filters
# --------------
#
# One layer of random filters over a log spectrogram is enough to tell textures apart. Of
# infinitely many filters the distances have a closed form.

transfer = StyleTransfer(max_iter=80, random_state=0).fit(style)
display = StyleTransferDisplay.from_estimator(transfer, content)

# %%
result = transfer.transform(content)
Audio(result[0], rate=16000)

# %%
# How near it is to both, beside the untouched content and style.

for measure, values in transfer.score_table(content, result).items():
    print(
        f"{measure:22}",
        *(f"{kind} {value[0]:7.3f}" for kind, value in values.items()),
    )

# %%
# Auditory cortex
# ---------------
#
# The same with the statistics of cochlea and cortex as the texture.

cortical = StyleTransfer(
    STRFTransformer(rates=[4, 8, 16], scales=[0.5, 1, 2]),
    "cortical",
    max_iter=25,
    random_state=0,
)
heard = cortical.fit(style).transform(content)
Audio(heard[0], rate=16000)

# %%
# Weights
# -------
#
# More weight on the content keeps it nearer.

weights = [0.01, 0.05, 0.2, 1.0]
distances: dict[str, list[float]] = {
    "gram_distance": [],
    "content_distance": [],
}
for weight in weights:
    transfer.set_params(content_weight=weight, max_iter=40).fit(style)
    table = transfer.score_table(content)
    for name, values in distances.items():
        values.append(table[name]["result"][0])
figure, ax = plt.subplots(figsize=(5, 3), layout="constrained")
for name, values in distances.items():
    ax.plot(weights, values, "o-", label=name.replace("_", " "))
ax.set_xscale("log")
ax.set_xlabel("content weight")
ax.set_ylabel("relative distance")
ax.legend(frameon=False)
plt.show()

# %%
# One pass of a network
# ---------------------
#
# A small network learns two styles; half of each is a mixture. A minute of training on more
# sounds than these makes it better.

fast = FastStyleTransfer(
    max_iter=40,
    n_hidden=48,
    batch_size=2,
    crop_duration=1.0,
    lr=5e-3,
    random_state=0,
)
other = instruments.data[names.index("electric_guitar")][None]
fast.fit(
    [style[0], other[0]], ["drum", "guitar"], contents=instruments.data[:8]
)
mixed = fast.set_params(style={"drum": 0.5, "guitar": 0.5}).transform(content)
Audio(mixed[0], rate=16000)
