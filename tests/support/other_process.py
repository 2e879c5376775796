"""Fresh Python processes that find `support` and the test modules."""

import json
import os
import subprocess
import sys
import traceback
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
# The same as in pyproject.toml; here a module has to be named in full.
STRICT = (
    "-W", "error", "-W", "ignore:__array__",
    *("-W", "ignore:'::matplotlib._fontconfig_pattern"),
    *("-W", "ignore:'::matplotlib._mathtext"),
    *("-W", "ignore:'::pyparsing.util"),
)  # fmt: skip


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


def run_python(*arguments, **options):
    """Run Python to its end, which must be a success, and return its output and its errors."""
    with start_python(*arguments, **options) as process:
        output, errors = process.communicate()
    assert process.returncode == 0, errors
    return output, errors


def print_from_fork(call):
    """Print what a call returns as JSON, from a copy of this process, which then ends.

    A fresh process spends seconds on importing TensorFlow, which starts nothing before it is used.
    So a fork after the import is as good as a second fresh process.
    """
    sys.stdout.flush()
    if os.fork() == 0:
        try:
            print(json.dumps(call()), flush=True)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    assert os.wait()[1] == 0
