"""
Transfer the style of a sound
=============================

Style transfer combines the content of one sound with the texture of another.
Here a saxophone takes on the texture of a hand drum. The methods optimize or
predict the sound directly.
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
# Content and style
# -----------------

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
# One layer of random filters on a log spectrogram suffices to distinguish
# textures. The distances have a closed form in the limit of infinitely many
# filters.

transfer = StyleTransfer(network="random", max_iter=80, random_state=0)
transfer.fit(style)
display = StyleTransferDisplay.from_estimator(transfer, content)

# %%
result = transfer.transform(content)
Audio(result[0], rate=16000)

# %%
# The table compares the result with the original content and style and with
# simple changes of the content, by measures that no transfer minimizes and by
# those that it does.

for measure, values in transfer.score_table(content, result).items():
    print(measure)
    for kind, value in values.items():
        print(f"    {kind:16}{value[0]:8.3f}")

# %%
# Levels of bands
# ---------------
#
# Without a representation, the default, the content is the course of the
# levels of frequency bands, and the style their statistics.

envelopes = StyleTransfer(max_iter=80, random_state=0).fit(style)
result = envelopes.transform(content)
Audio(result[0], rate=16000)

# %%
# Auditory cortex
# ---------------
#
# The texture can also be described by the statistics of the auditory model.

strf = STRFTransformer(rates=[4, 8, 16], scales=[0.5, 1, 2])
cortical = StyleTransfer(strf, "cortical", max_iter=25, random_state=0)
result = cortical.fit(style).transform(content)
Audio(result[0], rate=16000)

# %%
# Content weight
# --------------
#
# With a larger weight of the content, the result remains closer to it.

weights = [0.01, 0.05, 0.2, 1.0]
distances = {"gram_distance": [], "content_distance": []}
for weight in weights:
    transfer.set_params(content_weight=weight, max_iter=40).fit(style)
    table = transfer.score_table(content)
    for name, values in distances.items():
        values.append(table[name]["result"][0])
figure, ax = plt.subplots(figsize=(5, 3), layout="constrained")
for name, values in distances.items():
    ax.plot(weights, values, "o-", label=name.replace("_", " "))
ax.set(xscale="log", xlabel="content weight", ylabel="relative distance")
ax.legend(frameon=False)
plt.show()

# %%
# Feed-forward network
# --------------------
#
# A small network learns two styles, which can be mixed, and transfers them in
# one pass. More sounds and a longer training improve the result.

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
fast.set_params(style={"drum": 0.5, "guitar": 0.5})
Audio(fast.transform(content)[0], rate=16000)
