"""Links to the documentation of other projects, without a network while the site is built.

Intersphinx would download the list of all names of each project. Here the few names that the pages
use are listed, and their inventories are written for Intersphinx to read.
"""

import zlib
from pathlib import Path
from typing import Any

# For each project: where its pages are, the page of a name ($ stands for it), and the names.
PROJECTS: dict[str, tuple[str, str, dict[str, tuple[str, ...]]]] = {
    "sklearn": (
        "https://scikit-learn.org/stable/",
        "modules/generated/$.html#$",
        {
            "class": (
                "sklearn.calibration.CalibratedClassifierCV",
                "sklearn.ensemble.VotingClassifier",
                "sklearn.metrics.RocCurveDisplay",
                "sklearn.model_selection.GridSearchCV",
                "sklearn.model_selection.GroupKFold",
                "sklearn.model_selection.StratifiedGroupKFold",
                "sklearn.model_selection.StratifiedKFold",
                "sklearn.pipeline.Pipeline",
                "sklearn.utils.Bunch",
            ),
            "function": (
                "sklearn.metrics.roc_auc_score",
                "sklearn.model_selection.cross_val_predict",
                "sklearn.model_selection.cross_val_score",
            ),
        },
    ),
}


def write_inventory(path: Path, project: str, page: str, names: dict[str, tuple[str, ...]]) -> None:
    """Write the names in the format of Sphinx' inventories."""
    head = (
        f"# Sphinx inventory version 2\n# Project: {project}\n# Version: \n"
        "# The remainder of this file is compressed using zlib.\n"
    )
    rows = [
        f"{name} py:{kind} 1 {page.replace('$', name)} -\n"
        for kind, found in names.items()
        for name in found
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head.encode() + zlib.compress("".join(rows).encode()))


def make_mapping(app: Any, config: Any) -> None:
    """Write an inventory for each project and point Intersphinx to it."""
    for project, (url, page, names) in PROJECTS.items():
        inventory = Path(app.doctreedir) / f"{project}.inv"
        write_inventory(inventory, project, page, names)
        config.intersphinx_mapping[project] = (url, str(inventory))


def setup(app: Any) -> dict[str, bool]:
    """Register the extension; Intersphinx reads the mapping later, at priority 800."""
    app.connect("config-inited", make_mapping, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
