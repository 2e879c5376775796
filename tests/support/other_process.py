"""Fresh Python processes that find `support` and the test modules."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
STRICT = ("-W", "error", "-W", "ignore:__array__")


def start_python(*arguments, cwd=None, **variables):
    """Start Python with some arguments and environment variables, and return the process.

    `python -c` does not inherit the places where pytest finds modules, so PYTHONPATH names them.
    With it, `import training.test_strategies` works from any folder.
    """
    paths = [str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    """Wait for a process that must succeed, and return its output and its errors."""
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    return output, errors


def run_python(*arguments, **options):
    """Run Python to its end, and return its output and its errors."""
    with start_python(*arguments, **options) as process:
        return finish(process)
