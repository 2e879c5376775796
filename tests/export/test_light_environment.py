"""Serving in an environment with nothing but examples/requirements-serving.txt."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.model_files import X, built_pipeline

pytest.importorskip("tf2onnx", reason="needs the extra onnx")

from pcam_sklearn.export import export_onnx

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "examples" / "requirements-serving.txt"


def install(pip, *arguments):
    """Install with pip, or skip the test if there is no package index."""
    command = [pip, "install", "--quiet", "--no-compile", "--disable-pip-version-check", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if "No matching distribution" in result.stderr or "Connection" in result.stderr:
        pytest.skip(f"needs a package index: {result.stderr.strip().splitlines()[-1]}")
    assert result.returncode == 0, result.stderr


@pytest.fixture(scope="module")
def light(tmp_path_factory):
    """Return the folder of programs of a fresh environment."""
    folder = tmp_path_factory.mktemp("light")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    install(folder / "bin" / "pip", "--requirement", REQUIREMENTS)
    install(folder / "bin" / "pip", "--no-deps", ROOT)
    return folder / "bin"


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Return a folder of images, with the file of a model beside it and its probabilities."""
    folder = tmp_path_factory.mktemp("images")
    for i, patch in enumerate(X[:6]):
        cv2.imwrite(str(folder / f"{i}.png"), patch[..., ::-1])
    pipeline = built_pipeline()
    export_onnx(pipeline, folder.with_suffix(".onnx"), verbose=0)
    return folder, pipeline.predict_proba(X[:6])[:, 1]


def test_files_are_predicted_without_keras_installed(light, images):
    folder, expected = images
    code = f"""
import json, sys
from importlib.util import find_spec
from pcam_sklearn.export import make_onnx_pipeline
assert not any(map(find_spec, ["keras", "tensorflow", "matplotlib", "safetensors"]))
pipeline = make_onnx_pipeline({str(folder.with_suffix(".onnx"))!r})
paths = [f"{folder}/{{i}}.png" for i in range(6)]
print(json.dumps(pipeline.predict_proba(paths)[:, 1].tolist()))
"""
    result = subprocess.run([light / "python", "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    np.testing.assert_allclose(json.loads(result.stdout), expected, atol=1e-5)


def test_the_command_predict_works_there(light, images, tmp_path):
    folder, expected = images
    command = [light / "pcam-sklearn", "predict", folder.with_suffix(".onnx"), folder]
    result = subprocess.run(
        [*command, "--output", tmp_path / "p.csv"], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    lines = (tmp_path / "p.csv").read_text().splitlines()[1:]
    np.testing.assert_allclose([float(line.split(",")[1]) for line in lines], expected, atol=1e-5)
