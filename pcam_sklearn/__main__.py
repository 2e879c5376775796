"""``python -m pcam_sklearn`` runs the command ``pcam-sklearn``."""

from pcam_sklearn.cli import main

if __name__ == "__main__":
    main()
