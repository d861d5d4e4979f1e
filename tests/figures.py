"""Figures that a test does not look at need not be drawn."""

import io

import pytest
from matplotlib.figure import Figure


@pytest.fixture(scope="session")
def blank_png():
    """Bytes of a small picture of nothing."""
    stream = io.BytesIO()
    Figure((1, 1)).savefig(stream, format="png", dpi=10)
    return stream.getvalue()


@pytest.fixture
def undrawn(blank_png):
    """Reports hold a blank picture in place of each figure, until ``undrawn.undo()``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", lambda figure, file, **options: file.write(blank_png))
        yield patch
