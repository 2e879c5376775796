"""The command ``pcam-sklearn``, also as ``python -m pcam_sklearn``.

Nothing else is imported here, so that an interrupt finds this module waiting for it.
"""

import os
import sys

# TensorFlow reads this when it is imported. Operations that run side by side would change the order
# in which it adds gradients, and so the last digits of a run that is repeated.
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
# As BSD's sysexits.h has it. Python's own 1 would say that check found damage.
_FAULT = 70


def main() -> None:
    """Run a command, and end the process with its exit code."""
    try:
        from pcam_sklearn._streams import prepare_streams

        prepare_streams()
        from pcam_sklearn.cli import main as command

        sys.exit(command())
    except KeyboardInterrupt:
        # The command has not begun, or has ended. Within it, it handles this itself.
        sys.exit(130)
    except Exception:
        import traceback

        traceback.print_exc()
        sys.exit(_FAULT)


if __name__ == "__main__":
    main()
