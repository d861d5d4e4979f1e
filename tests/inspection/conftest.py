"""Figures are drawn without a screen, and none is left open."""

import pytest


@pytest.fixture(autouse=True)
def drawing():
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    yield
    plt.close("all")
