"""Load a saved pipeline in a new process and predict on test patches.

    python examples/predict_saved.py                  trains and saves a small pipeline first
    python examples/predict_saved.py MODEL FOLDER     predicts for the patches in FOLDER/test

MODEL is a file that save_model wrote. Loading it runs no code in it, unlike a joblib file.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from pcam_sklearn.persistence import load_model


def predict(model, patches, ids):
    """Print the probability of tumour for each patch."""
    pipeline = load_model(model)
    for id_, probability in zip(ids, pipeline.predict_proba(patches)[:, 1], strict=True):
        print(f"{id_} {probability:.4f}")


def save_a_model_and_patches(folder):
    """Train on synthetic patches, and save the model and ten patches of other slides."""
    from pcam_sklearn import make_pcam_pipeline
    from pcam_sklearn.datasets import make_patches
    from pcam_sklearn.persistence import save_model

    data = make_patches(n_samples=400, n_slides=12, random_state=0)
    test = np.isin(data.groups, np.unique(data.groups)[-4:])
    pipeline = make_pcam_pipeline(network="notebook", epochs=3, random_state=0)
    save_model(pipeline.fit(data.images[~test], data.target[~test]), folder / "model.pcam")
    np.save(folder / "test.npy", data.images[test][:10])


def main():
    """Predict for the given files, or train first and predict in a new process."""
    if len(sys.argv) == 3 and sys.argv[2].endswith(".npy"):
        patches = np.load(sys.argv[2])
        predict(sys.argv[1], patches, range(len(patches)))
    elif len(sys.argv) == 3:
        from pcam_sklearn.datasets import load_kaggle

        data = load_kaggle(sys.argv[2], subset="test")
        predict(sys.argv[1], data.paths, data.ids)
    else:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            save_a_model_and_patches(folder)
            # A new process shows that the saved file holds all that a prediction needs.
            new_process = [sys.executable, __file__, folder / "model.pcam", folder / "test.npy"]
            subprocess.run(new_process, check=True)


if __name__ == "__main__":
    main()
