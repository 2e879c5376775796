"""Folders and runs so small that a command takes a moment."""

import hashlib
import json

import cv2
import numpy as np
import pandas as pd
from click.testing import CliRunner

from pcam_sklearn.cli import main
from pcam_sklearn.cli._patches import Patches
from pcam_sklearn.datasets import make_patches

TINY = [
    *("--network", "notebook", "--crop-size", 20, "--epochs", 1, "--batch-size", 16),
    *("--augment", "none", "--rounds", 100, "--operating-point", "specificity=0.6"),
    *("--set", "cnnclassifier__filters=(2, 2, 4)", "--set", "cnnclassifier__dense_units=8"),
    *("--set", "cnnclassifier__early_stopping=False", "--set", "cnnclassifier__metrics=()"),
    *("--set", "cnnclassifier__validation_fraction=0"),
    *("--set", "cnnclassifier__compile__steps_per_execution=1"),
]
QUICK = ("--rounds", 100, "-q")
FILES = [
    "card.html", "card.md", "config.json", "evaluation.json", "history.csv", "history.png",
    "manifest.json", "model.pcam", "most-wrong.png", "predictions.csv", "reliability.png",
    "roc.png", "split.csv",
]  # fmt: skip
ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "2", "MPLBACKEND": "Agg"}


def cli(*arguments, code=0):
    """Run a command in this process and return its output; it must end with `code`."""
    result = CliRunner().invoke(main, [str(a) for a in arguments], env=ENVIRONMENT)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def as_json(*arguments):
    """Run a command with ``--json`` and return the result."""
    return json.loads(cli(*arguments, "--json").stdout)


def patches_of(target, groups):
    """Return patches of these labels and slides, without pixels."""
    target = np.asarray(target)
    ids = np.array([str(i) for i in range(len(target))])
    return Patches("patches", ids, ids, target, groups, None)


def labelled_patches(n_slides=20, per_slide=10, groups=True):
    """Return patches of some slides, labelled 0 and 1 in turn, without pixels."""
    slides = np.repeat([f"s{i:02}" for i in range(n_slides)], per_slide)
    return patches_of(np.arange(len(slides)) % 2, slides if groups else None)


def make_kaggle(folder, *, seed=0, slides=True, n_slides=12):
    """Write patches of some slides in Kaggle's layout, eight per slide and six more to predict."""
    patches = make_patches(n_samples=8 * n_slides + 6, n_slides=n_slides, random_state=seed)
    ids = [hashlib.sha1(image.tobytes()).hexdigest() for image in patches.images]
    for row, (id_, image) in enumerate(zip(ids, patches.images, strict=True)):
        path = folder / ("test" if row < 6 else "train") / f"{id_}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image[..., ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, 1])
    table = pd.DataFrame({"id": ids, "label": patches.target, "slide": patches.groups})[6:]
    table["slide"] = f"seed_{seed}_" + table["slide"]
    table[["id", "label"]].to_csv(folder / "train_labels.csv", index=False)
    if slides:
        table[["id", "slide"]].to_csv(folder / "slides.csv", index=False)
    return folder


def make_run(data, folder):
    """Train a tiny network on some patches, and return the run folder."""
    cli("train", data, "--output", folder, *TINY)
    return folder


def read_numbers(path):
    """Return a table of probabilities, each exactly the number that was written."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    for name in {"label", "probability"} & set(table):
        table[name] = [float(text) for text in table[name]]
    return table


def read_split(folder):
    """Return id, slide and part of each patch of a run."""
    return pd.read_csv(folder / "split.csv", dtype=str, keep_default_na=False)


def contents(folder):
    """Return the sorted names of everything in a folder."""
    return sorted(path.name for path in folder.iterdir())
