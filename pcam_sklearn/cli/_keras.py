"""TensorFlow without the notes that it writes to stderr while it is imported."""

import os
import tempfile

_NO_GPU = "Could not find cuda drivers"


def import_keras() -> None:
    """Import what trains and predicts; show TensorFlow's warnings and errors, not its notes.

    They come from below Python, before TensorFlow heeds its own log level. That there is no GPU is
    a note, whatever level it is given.
    """
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            import pcam_sklearn.classifier  # noqa: F401
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            said.seek(0)
            os.write(2, _worth_showing(said.read().decode(errors="replace")).encode())


def _worth_showing(text: str) -> str:
    no_gpu = _NO_GPU in text
    lines = [line for line in text.splitlines(keepends=True) if not line.startswith(("I0", "WARN"))]
    return "".join(line for line in lines if not (no_gpu and "cuInit" in line))
