"""Train the model that comes with the package: `pcam_sklearn.load_pretrained()`.

    python benchmarks/pretrained.py FOLDER [--output pcam_sklearn/models]

FOLDER is in Kaggle's layout, with a slides.csv. The default recipe is trained on all its patches
with seed 0. Its card shows the figures of accuracy.py for the same recipe and seed, from folds of
whole slides: run that first. The script writes OUTPUT/pcam.pcam with weights of 16 bits, its card
beside it, and tests/data/pretrained.csv, the probabilities of the patches in tests/data. It prints
what the 16 bits change, and the SHA-256 that belongs into pcam_sklearn/_shipped.py.

On the same machine, with the same number of threads, it writes the same file again.
"""

import argparse
import hashlib
import os
from pathlib import Path
from typing import Any

# TensorFlow reads this when it is imported. Operations that run side by side would change the order
# in which it adds gradients, and so their last digits.
os.environ["TF_NUM_INTEROP_THREADS"] = "1"

import numpy as np
import pandas as pd
from accuracy import KEY, PREDICTIONS, Run
from sklearn.metrics import roc_auc_score

from pcam_sklearn import PatchReader, make_pcam_pipeline
from pcam_sklearn._archive import read_archive
from pcam_sklearn.datasets import load_kaggle
from pcam_sklearn.metrics import choose_operating_point
from pcam_sklearn.persistence import load_model, save_model
from pcam_sklearn.report import evaluate_predictions, hash_patches, stain_of_slides

ROOT = Path(__file__).resolve().parents[1]
TITLE = "Tumour tissue in histology patches: the default recipe of pcam_sklearn"
FACTS = {
    "Patches": "4,000 patches of 48 slides, out of the training set of Kaggle's Histopathologic "
    "Cancer Detection, which is PatchCamelyon without duplicates (Veeling et al. 2018), cut from "
    "Camelyon16 (Ehteshami Bejnordi et al. 2017); in the public domain (CC0)",
    "Weights that training began with": "EfficientNet-Lite0, trained on ImageNet by Google and "
    "converted by ML Illustrated; Apache License 2.0",
    "How it was measured": "the figures are those of four models of the same recipe, each tested "
    "on the slides that it was not trained on; this model was trained on all patches. The recipe "
    "was chosen by looks at two of the four folds, which flatters the figures a little",
}  # fmt: skip


def cross_validated(data: Any) -> np.ndarray:
    """Return the probability of each patch by the model whose training left out its slide."""
    predictions = pd.read_csv(PREDICTIONS)
    wanted = pd.DataFrame([Run("default", 0, fold, 0) for fold in range(4)])
    found = predictions.merge(wanted, on=KEY).set_index("id")["probability"]
    return found.loc[data.ids].to_numpy()


def measure(data: Any) -> dict[str, Any]:
    """Return the evaluation of the recipe on slides that were left out, and a threshold."""
    prob = cross_validated(data)
    evaluation = evaluate_predictions(
        data.target,
        prob,
        data.groups,
        name="slides left out of training, in four folds",
        stain=stain_of_slides(data.paths, data.groups),
    )
    # The threshold is chosen on these predictions, so it cannot be measured on them too.
    point = choose_operating_point(data.target, prob, specificity=0.95)
    return {"evaluation": evaluation, "operating_point": point}


def describe_halves(whole: Any, halved: Any, patches: np.ndarray, labels: np.ndarray) -> str:
    """Return the change of probabilities and AUC by 16 bits, as text."""
    a, b = (pipeline.predict_proba(patches)[:, 1] for pipeline in (whole, halved))
    change = roc_auc_score(labels, b) - roc_auc_score(labels, a)
    return f"16 bits: probabilities change by at most {abs(a - b).max():.1e}, AUC by {change:+.1e}"


def main() -> None:
    """Train, save, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder in Kaggle's layout, with a slides.csv")
    parser.add_argument("--output", type=Path, default=ROOT / "pcam_sklearn" / "models")
    arguments = parser.parse_args()
    data = load_kaggle(arguments.folder)
    measured = measure(data)
    patches = PatchReader(in_memory=True).transform(data.paths)
    pipeline = make_pcam_pipeline(random_state=0)
    pipeline.fit(patches, data.target, cnnclassifier__groups=data.groups)
    arguments.output.mkdir(exist_ok=True)
    path = arguments.output / "pcam.pcam"
    facts = {"title": TITLE, "license": "bsd-3-clause", "data": FACTS, **measured}
    facts |= {"data_sha256": hash_patches(patches), "split": "four folds of whole slides"}
    save_model(pipeline, path, metadata=facts, dtype="float16")
    path.with_suffix(".md").write_bytes(read_archive(path)["README.md"])
    halved = load_model(path)
    test = load_kaggle(ROOT / "tests" / "data")
    table = pd.DataFrame({"id": test.ids, "probability": halved.predict_proba(test.paths)[:, 1]})
    table.to_csv(ROOT / "tests" / "data" / "pretrained.csv", index=False)
    print(describe_halves(pipeline, halved, patches, data.target))
    print(f"{path.stat().st_size:,} bytes, SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    main()
