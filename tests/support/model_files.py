"""Small models of each kind that a model file can hold, and model files taken apart.

As a script, ``python -m support.model_files FOLDER`` writes the files that stand for a version of
the format in ``tests/data/models``, with patches and probabilities.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.pipeline import make_pipeline

from pcam_sklearn import PatchReader
from pcam_sklearn._archive import read_archive, write_archive
from pcam_sklearn.persistence import save_model
from support.tiny import PATCH_SIDE, SIDE, linear, make_data, small_pipeline

X, Y = make_data(side=PATCH_SIDE)
GROUPS = np.repeat(np.arange(10), 4)


def built_pipeline(labels=Y, **changes):
    """Return a pipeline that can predict, because its network was built, and never trained."""
    pipeline = small_pipeline(**changes)
    margin = (PATCH_SIDE - SIDE) // 2
    pipeline[-1].initialize(X[:, margin:-margin, margin:-margin], labels)
    return pipeline


def own_pipeline(**changes):
    """Return a pipeline around a network of the user's own."""
    return built_pipeline(network=linear, filters=None, dense_units=None, **changes)


def calibrated(method="isotonic", pipeline=None):
    frozen = FrozenEstimator(pipeline or built_pipeline())
    return CalibratedClassifierCV(frozen, method=method).fit(X, Y)


def tuned(labels=Y, pipeline=None, scoring="balanced_accuracy"):
    frozen = FrozenEstimator(pipeline or built_pipeline(labels))
    return TunedThresholdClassifierCV(
        frozen, scoring=scoring, cv="prefit", refit=False, thresholds=10
    ).fit(X, labels)


def fixed(pipeline):
    threshold = float(np.median(pipeline.predict_proba(X)[:, 0]))
    frozen = FrozenEstimator(pipeline)
    return FixedThresholdClassifier(frozen, threshold=threshold, pos_label=0).fit(X, Y)


def blend(*members, labels=Y, reader=True, **options):
    """Return members that vote by probability, behind one reader, without training one."""
    members = members or [built_pipeline()[1:], built_pipeline(random_state=1)[1:]]
    named = [(f"m{i}", FrozenEstimator(member)) for i, member in enumerate(members)]
    voting = VotingClassifier(named, **{"voting": "soft", **options})
    return (make_pipeline(PatchReader(), voting) if reader else voting).fit(X, labels)


# The weights differ from kind to kind, so that no file can pass for another one.
KINDS = {
    "pipeline": built_pipeline,
    "sigmoid": lambda: calibrated("sigmoid", built_pipeline(random_state=1)),
    "isotonic": lambda: calibrated("isotonic", built_pipeline(random_state=2)),
    "tuned": lambda: tuned(pipeline=built_pipeline(random_state=3)),
    "fixed": lambda: fixed(built_pipeline(random_state=4)),
    "tuned calibrated": lambda: tuned(pipeline=calibrated("sigmoid")),
    "voting": lambda: blend(
        built_pipeline(random_state=5)[1:],
        built_pipeline(filters=(4, 2, 2), random_state=6)[1:],
        weights=[2, 1],
    ),
    "calibrated voting": lambda: calibrated(
        "sigmoid", blend(calibrated("isotonic"), built_pipeline())
    ),
}


def take_apart(path):
    """Return the members of a model file, and its manifest."""
    members = read_archive(path)
    return members, json.loads(members["manifest.json"])


def put_together(path, members, manifest):
    """Write a model file whose manifest says the truth about its other members."""
    others = {name: content for name, content in members.items() if name != "manifest.json"}
    manifest["members"] = {
        name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in others.items()
    }
    text = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
    with open(path, "wb") as file:
        write_archive(file, {"manifest.json": text, **others})
    return path


def write_fixtures(folder):
    """Write one file of each kind, patches, and what each gives for them."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    expected = {"X": X[:8]}
    for kind in ("pipeline", "isotonic", "sigmoid", "tuned", "fixed", "voting"):
        estimator = KINDS[kind]()
        save_model(estimator, folder / f"{kind}.pcam")
        expected[f"{kind} probabilities"] = estimator.predict_proba(X[:8])
        expected[f"{kind} labels"] = estimator.predict(X[:8])
    np.savez_compressed(folder / "expected.npz", **expected)


if __name__ == "__main__":
    write_fixtures(sys.argv[1])
