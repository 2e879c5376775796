"""``python -m pcam_sklearn`` is the command ``pcam-sklearn``."""

from pcam_sklearn.cli import main

if __name__ == "__main__":
    main()
