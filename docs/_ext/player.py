"""The directive ``player``, which adds an audio player for a sound that Python code computes.

    .. player:: A ripple that falls four times a second.

       from skstrf.auditory import moving_ripple
       x = moving_ripple(4, 0.5, 1.5, random_state=0)

The code runs when the page is built. It assigns the sound, an array of shape (n_times,) at 16000
Hz or ``:rate:``, to ``x``. The sound is embedded in the page. ``:show:`` also shows the code.
``:file:`` plays a file from the folder of the page instead of the result of code.
"""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path

import numpy as np
import soundfile
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective


class Player(SphinxDirective):
    required_arguments = 1
    final_argument_whitespace = True
    option_spec = {
        "rate": directives.positive_int,
        "show": directives.flag,
        "file": directives.path,
    }
    has_content = True

    def run(self):
        source = "\n".join(self.content)
        kind, sound = self._file() if "file" in self.options else self._made(source)
        encoded = base64.b64encode(sound).decode("ascii")
        caption = html.escape(self.arguments[0])
        player = nodes.raw(
            "",
            f'<figure class="player"><figcaption>{caption}</figcaption><audio controls '
            f'preload="metadata" src="data:audio/{kind};base64,{encoded}" aria-label="{caption}">'
            "</audio></figure>",
            format="html",
        )
        if "show" not in self.options:
            return [player]
        return [nodes.literal_block(source, source, language="python"), player]

    def _file(self) -> tuple[str, bytes]:
        path = Path(self.get_source_info()[0]).parent / self.options["file"]
        self.env.note_dependency(str(path))
        return path.suffix[1:], path.read_bytes()

    def _made(self, source: str) -> tuple[str, bytes]:
        names: dict = {}
        exec(compile(source, self.get_source_info()[0], "exec"), names)
        sound = np.asarray(names["x"], dtype=float)
        stream = io.BytesIO()
        sound = 0.9 * sound / max(np.abs(sound).max(), 1e-12)
        soundfile.write(stream, sound, self.options.get("rate", 16000), format="WAV")
        return "wav", stream.getvalue()


def setup(app):
    app.add_directive("player", Player)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
