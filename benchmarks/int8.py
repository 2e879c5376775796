"""Measure what 8 bits change on slides that a model never saw.

    python benchmarks/accuracy.py FOLDER --plan main --models MODELS
    python benchmarks/int8.py FOLDER MODELS

FOLDER is in Kaggle's layout, with a slides.csv, and MODELS holds the pipelines that accuracy.py
fitted. Each is exported in 32 bits and in 8, whose ranges come from 256 of its training patches.
Both predict the slides that it left out. The script writes benchmarks/results/int8.csv.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from accuracy import load
from sklearn.metrics import roc_auc_score

from pcam_sklearn.export import export_onnx, make_onnx_pipeline
from pcam_sklearn.persistence import load_model

RESULTS = Path(__file__).parent / "results" / "int8.csv"
N_CALIBRATION = 256


def measure(path: Path, data: Any, folds: list[np.ndarray]) -> dict[str, Any]:
    """Return the row of one model, whose file has the name of its run."""
    recipe, _, fold, seed = path.stem.rsplit("-", 3)
    test = folds[int(fold)]
    train = np.setdiff1d(np.arange(len(data.target)), test)
    chosen = np.random.default_rng(0).permutation(train)[:N_CALIBRATION]
    calibration = data.images[chosen], data.target[chosen]
    pipeline = load_model(path)
    with tempfile.TemporaryDirectory() as folder:
        exact, small = Path(folder, "exact.onnx"), Path(folder, "small.onnx")
        export_onnx(pipeline, exact, verbose=0)
        export_onnx(pipeline, small, quantize="int8", calibration=calibration, verbose=0)
        before, after = (
            make_onnx_pipeline(file).predict_proba(data.images[test])[:, 1]
            for file in (exact, small)
        )
        share = small.stat().st_size / exact.stat().st_size
    aucs = [roc_auc_score(data.target[test], values) for values in (before, after)]
    return {
        "recipe": recipe,
        "fold": int(fold),
        "seed": int(seed),
        "auc": round(aucs[0], 5),
        "auc_int8": round(aucs[1], 5),
        "largest_change": round(abs(after - before).max(), 4),
        "mean_change": round(abs(after - before).mean(), 4),
        "share_of_size": round(share, 4),
    }


def main() -> None:
    """Measure all models of a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder in Kaggle's layout, with a slides.csv")
    parser.add_argument("models", type=Path, help="folder that accuracy.py --models wrote")
    arguments = parser.parse_args()
    data, folds = load(arguments.folder)
    rows = [measure(path, data, folds) for path in sorted(arguments.models.glob("*.pcam"))]
    table = pd.DataFrame(rows)
    table.to_csv(RESULTS, index=False)
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
