"""Self-contained HTML reports."""

from __future__ import annotations

import base64
import io
import math
import os
import re
import wave
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

from skstrf._version import __version__
from skstrf.caching.files import atomic_write
from skstrf.utils.messages import escape
from skstrf.utils.optional import import_optional

__all__ = ["Report"]

_TEMPLATES = Path(__file__).parent / "templates"
_DPI = 160  # of figures in the file; a page counts 96 to the inch
_MIN_SECTIONS_WITH_CONTENTS = 5
_WORDY = 14  # characters; a longer row heading would otherwise be squeezed to one word per line


class Report:
    """A self-contained HTML page, which loads nothing from outside the file and runs no script.

    All texts are escaped, so the names of files and classes may contain any characters; control
    characters and bytes that are not UTF-8 are written as backslash escapes.
    Consecutive additions under the same heading form one section.

    Parameters
    ----------
    title : str
        Title of the page.
    subtitle : str, default=""
        Line below the title.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skstrf.inspection import Report
    >>> report = Report("Instruments", "five-fold cross-validation")
    >>> report.add_table("Accuracy", ["class", "share", "sounds"], [["tuba", 0.91, 20]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = report.write(Path(folder) / "report.html")
    ...     print(path.name)
    report.html
    """

    def __init__(self, title: str, subtitle: str = ""):
        self.title = title
        self.subtitle = subtitle
        self._sections: list[dict[str, Any]] = []

    def add_text(self, heading: str, text: str | Iterable[str]) -> None:
        """Add paragraphs of plain text.

        Parameters
        ----------
        heading : str
            Heading of the section.
        text : str or iterable of str
            Text whose paragraphs are separated by empty lines, or the paragraphs.

        Examples
        --------
        >>> from skstrf.inspection import Report
        >>> Report("Instruments").add_text("Summary", "Right for 19 of 20 sounds.")
        """
        parts = [text] if isinstance(text, str) else list(text)
        paragraphs = [p.strip() for part in parts for p in re.split(r"\n\s*\n", str(part))]
        self._add(heading, "text", paragraphs=[_clean(p) for p in paragraphs if p])

    def add_table(
        self,
        heading: str,
        columns: Sequence[str],
        rows: Iterable[Sequence[Any]],
        *,
        caption: str = "",
        note: str = "",
    ) -> None:
        """Add a table.

        Parameters
        ----------
        heading : str
            Heading of the section.
        columns : sequence of str
            Names of the columns.
        rows : iterable of sequence of (str, int, float, bool or None)
            Cells of each row. The floats of a column have the same number of decimals, and columns
            of numbers are aligned to the right.
        caption : str, default=""
            Caption above the table.
        note : str, default=""
            Note below the table.

        Raises
        ------
        ValueError
            If the length of a row differs from that of `columns`.

        Examples
        --------
        >>> from skstrf.inspection import Report
        >>> report = Report("Instruments")
        >>> report.add_table("Classes", ["class", "recall"], [["oboe", 0.9], ["tuba", 1.0]])
        """
        cells = [list(row) for row in rows]
        for number, row in enumerate(cells):
            if len(row) != len(columns):
                raise ValueError(
                    f"row {number} of the table {heading!r} has {len(row)} cells, "
                    f"but there are {len(columns)} columns."
                )
        by_column = [[row[i] for row in cells] for i in range(len(columns))]
        numeric = [
            any(map(looks_numeric, column))
            and all(is_missing(c) or looks_numeric(c) for c in column)
            for column in by_column
        ]
        written = [[_clean(cell) for cell in format_column(column)] for column in by_column]
        self._add(
            heading,
            "table",
            columns=[_clean(name) for name in columns],
            rows=list(zip(*written, strict=True)),
            numeric=numeric,
            # The first column names its row, unless it is a number like the others.
            row_heads=bool(numeric) and not numeric[0],
            caption=_clean(caption),
            note=_clean(note),
        )

    def add_settings(self, heading: str, mapping: Mapping[str, Any]) -> None:
        """Add a table of names and values.

        Parameters
        ----------
        heading : str
            Heading of the section.
        mapping : mapping of {str: object}
            Values by name. They are written in full, without rounding, and aligned to the right
            if all of them are numbers.

        Examples
        --------
        >>> from skstrf.inspection import Report
        >>> Report("Instruments").add_settings("Settings", {"seed": 0, "rates": (2, 4, 8)})
        """
        rows = [(_clean(key), _clean(format_setting(value))) for key, value in mapping.items()]
        # Settings are read one by one, but numbers such as durations are compared.
        numeric = len(rows) > 1 and all(map(looks_numeric, mapping.values()))
        self._add(heading, "settings", rows=rows, numeric=numeric)

    def add_figure(self, heading: str, figure: Any, *, alt: str, caption: str = "") -> None:
        """Add a figure and close it.

        Parameters
        ----------
        heading : str
            Heading of the section.
        figure : matplotlib.figure.Figure
            Figure, which is stored as a PNG image.
        alt : str
            Description for readers who cannot see the figure.
        caption : str, default=""
            Caption below the figure.

        Raises
        ------
        ValueError
            If `alt` is empty.

        Examples
        --------
        >>> from matplotlib.figure import Figure
        >>> from skstrf.inspection import Report
        >>> Report("Instruments").add_figure("Figures", Figure((2, 2)), alt="an empty square")
        """
        if not alt.strip():
            raise ValueError(f"alt must describe the figure {heading!r}, got {alt!r}.")
        import matplotlib.pyplot as plt

        stream = io.BytesIO()
        figure.savefig(
            stream,
            format="png",
            dpi=_DPI,
            # "tight" draws the figure twice; with a layout engine there are no margins to cut.
            bbox_inches=None if figure.get_layout_engine() else "tight",
            pad_inches=0.08,
            metadata={"Software": None},  # equal figures are equal bytes
        )
        plt.close(figure)
        image = stream.getvalue()
        # Width and height follow the signature and the header of the first chunk of a PNG file.
        pixels = [int.from_bytes(image[start : start + 4], "big") for start in (16, 20)]
        self._add(
            heading,
            "figure",
            source=_data_url("image/png", image),
            width=round(pixels[0] * 96 / _DPI),
            height=round(pixels[1] * 96 / _DPI),
            alt=_clean(alt),
            caption=_clean(caption),
        )

    def add_sound(self, heading: str, x: Any, sample_rate: float, *, caption: str = "") -> None:
        """Add a sound with a player.

        Parameters
        ----------
        heading : str
            Heading of the section.
        x : array-like of shape (n_times,), float
            Mono sound within [-1, 1]. A louder sound is turned down, never clipped, which its
            caption mentions.
        sample_rate : float
            Sampling rate in Hz.
        caption : str, default=""
            Caption above the player.

        Raises
        ------
        ValueError
            If `x` is empty, not mono, not float or not finite, or `sample_rate` is below 1 Hz.

        Examples
        --------
        >>> import numpy as np
        >>> from skstrf.inspection import Report
        >>> tone = np.sin(2 * np.pi * 440 * np.arange(8000) / 16000)
        >>> Report("Instruments").add_sound("Sounds", tone, 16000, caption="440 Hz")
        """
        sound = _wav(x, sample_rate)
        peak = float(np.abs(x).max())
        if peak > 1:
            caption = f"{caption} ({20 * np.log10(peak):.1f} dB softer here to prevent clipping)"
        self._add(heading, "sound", source=_data_url("audio/wav", sound), caption=_clean(caption))

    def to_html(self) -> str:
        """Render the page.

        Returns
        -------
        str
            HTML, which is equal for equal additions.

        Examples
        --------
        >>> from skstrf.inspection import Report
        >>> "<h1>Oboe &amp; tuba</h1>" in Report("Oboe & tuba").to_html()
        True
        """
        jinja2 = import_optional("jinja2", extra="report")
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_TEMPLATES),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.tests["long"] = lambda cell: max(map(len, cell.split()), default=0) > 30
        environment.tests["wordy"] = lambda cell: len(cell) > _WORDY
        return environment.get_template("report.html").render(
            title=_clean(self.title),
            subtitle=_clean(self.subtitle),
            sections=self._sections,
            contents=len(self._sections) >= _MIN_SECTIONS_WITH_CONTENTS,
            version=__version__,
        )

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the page atomically: other programs see all of it or nothing.

        Parameters
        ----------
        path : str or path-like
            Path of the file. Missing folders are created, and an existing file is replaced.

        Returns
        -------
        Path
            Path of the file.

        Raises
        ------
        OSError
            If the file cannot be written. The error names the file and the reason, and an existing
            file remains.
        """
        path = Path(path)
        page = self.to_html().encode("utf-8")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as temporary:
                temporary.write_bytes(page)
        except OSError as error:
            raise type(error)(
                error.errno,
                f"The report could not be written ({error.strerror}). Choose a file in a folder "
                "with write permission, on a disk with free space",
                str(path),
            ) from error
        return path

    def _add(self, heading: str, kind: str, **content: Any) -> None:
        heading = _clean(heading)
        if not self._sections or self._sections[-1]["heading"] != heading:
            taken = {section["id"] for section in self._sections}
            self._sections.append({"id": _slug(heading, taken), "heading": heading, "parts": []})
        self._sections[-1]["parts"].append({"kind": kind, **content})


def _clean(text: Any) -> str:
    return escape(str(text), keep="\t\n")


def _slug(heading: str, taken: set[str]) -> str:
    """Return an id that can be part of a link and that no other section has."""
    slug = re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-") or "section"
    number, candidate = 1, slug
    while candidate in taken:
        number += 1
        candidate = f"{slug}-{number}"
    return candidate


def _data_url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _wav(x: Any, sample_rate: float) -> bytes:
    """Encode a mono sound as 16-bit PCM."""
    sound = np.asarray(x)
    if sound.ndim != 1 or sound.size == 0 or sound.dtype.kind != "f":
        raise ValueError(
            "x must be a mono sound of floats, of shape (n_times,) with at least one sample; "
            f"got {sound.dtype} of shape {sound.shape}."
        )
    if not np.isfinite(sound).all():
        raise ValueError("x contains NaN or infinite values.")
    if not (np.isfinite(sample_rate) and sample_rate >= 1):
        raise ValueError(f"sample_rate must be at least 1 Hz, got {sample_rate!r}.")
    sound = sound.astype(np.float64)
    sound /= max(1.0, np.abs(sound).max())
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(round(sample_rate))
        file.writeframes(np.round(sound * 32767).astype("<i2").tobytes())
    return stream.getvalue()


# Formats of numbers and settings

MISSING = "–"
# Strings that a reader takes for numbers: "12", "-0.5", "91 %", "0.912 ± 0.013", "0.8 to 0.9".
_ONE = r"[-+−]?\d[\d,]*(\.\d+)?\s*%?"
_NUMERIC = re.compile(rf"{_ONE}(\s*(±|to)\s*{_ONE})?")


def looks_numeric(value: Any) -> bool:
    """Return whether a cell is aligned to the right in a column of numbers."""
    if isinstance(value, bool | np.bool_):
        return False
    return isinstance(value, Real) or (
        isinstance(value, str) and _NUMERIC.fullmatch(value.strip()) is not None
    )


def is_missing(value: Any) -> bool:
    """Return whether a cell states that there is no value."""
    return value is None or (isinstance(value, str) and value.strip() in ("", MISSING))


def format_column(values: Sequence[Any]) -> list[str]:
    """Format the cells of one column, with the same number of decimals for all floats."""
    floats = [abs(float(v)) for v in values if _is_float(v) and math.isfinite(v) and v != 0]
    largest, smallest = max(floats, default=0.0), min(floats, default=0.0)
    digits = _digits(largest)
    if largest >= 10 and smallest < 100 * 10.0**-digits:
        return [_format_cell(v, _digits(v) if _is_float(v) else 0) for v in values]
    return [_format_cell(value, digits) for value in values]


def format_setting(value: Any) -> str:
    """Format the value of a setting without rounding; lists and mappings have no brackets."""
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {format_setting(v)}" for key, v in value.items()) or MISSING
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(format_setting(v) for v in value) or MISSING
    return str(value)


def _is_float(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, Integral | np.bool_)


def _digits(value: float) -> int:
    """Return the number of decimals that show four digits of a number, at most three."""
    size = abs(float(value))
    if not math.isfinite(size) or size < 10:
        return 3
    return max(0, 3 - math.floor(math.log10(size)))


def _format_cell(value: Any, digits: int) -> str:
    if value is None or (_is_float(value) and math.isnan(value)):
        return MISSING
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, Integral):
        return f"{int(value):,}" if abs(int(value)) >= 10_000 else str(int(value))
    if not _is_float(value):
        return str(value)
    number = float(value)
    if number != 0 and abs(number) < 0.5 * 10.0**-digits:
        return f"{number:.2e}"
    if abs(number) >= 1e15:
        return f"{number:.3e}"
    return f"{number:,.{digits}f}" if abs(number) >= 10_000 else f"{number:.{digits}f}"
