"""Write a model as an ONNX file with export."""

import cv2
import numpy as np
import pytest
from support.cli_runs import as_json, cli, make_kaggle
from support.model_files import X, Y, built_pipeline
from support.other_process import run_python

from pcam_sklearn.persistence import save_model

pytest.importorskip("onnx", reason="needs the extra onnx")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")
pytest.importorskip("tf2onnx", reason="needs the extra onnx")

pytestmark = pytest.mark.slow  # A graph takes a second to convert.


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """Return a model file whose labels are words."""
    path = tmp_path_factory.mktemp("named") / "model.pcam"
    save_model(built_pipeline(np.array(["normal", "tumour"])[Y]), path)
    return path


@pytest.fixture(scope="module")
def by_class(tmp_path_factory):
    """Return a folder with a folder of images for each class, and their slides."""
    folder = tmp_path_factory.mktemp("patches")
    for label in (0, 1):
        (folder / str(label)).mkdir()
    for i, (patch, label) in enumerate(zip(X[:12], Y, strict=False)):
        cv2.imwrite(str(folder / f"{label}/{i}.png"), patch[..., ::-1])
    slides = [f"{label}/{i}.png,slide{i}" for i, label in enumerate(Y[:12])]
    (folder / "slides.csv").write_text("\n".join(["id,slide", *slides]))
    return folder


@pytest.mark.filterwarnings("ignore:the images of .* have 20 x 20")
def test_labels_of_a_folder_stand_for_those_of_the_model(named, by_class, tmp_path):
    facts = as_json("export", named, "--output", tmp_path / "m.onnx", "--int8", by_class)
    assert facts["int8"]["n_patches"] == 12
    assert 0 <= facts["int8"]["auc"] <= 1


_WITHOUT_KERAS = """
import sys
from importlib.abc import MetaPathFinder

class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("keras", "scikeras", "tensorflow", "jax", "torch"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from pcam_sklearn.cli import main
model, data, folder = sys.argv[1:]
for command in ("predict", "evaluate", "card"):
    output = {"predict": ["--output", f"{folder}/p.csv"], "card": ["--output", f"{folder}/c.html"]}
    main([command, model, data, "-q", *output.get(command, [])], standalone_mode=False)
"""


def test_predict_evaluate_and_card_take_the_file_where_there_is_no_keras(named, tmp_path):
    cli("export", named, "--output", tmp_path / "m.onnx")
    patches = make_kaggle(tmp_path / "kaggle", n_slides=4)
    said, _ = run_python("-c", _WITHOUT_KERAS, tmp_path / "m.onnx", patches, tmp_path)
    assert "ROC AUC" in said
    assert {"p.csv", "c.html"} <= {path.name for path in tmp_path.iterdir()}


def test_a_folder_that_is_missing_is_named_before_a_model_is_read(tmp_path):
    (tmp_path / "no-model.pcam").touch()
    output = tmp_path / "none" / "m.onnx"
    said = cli("export", tmp_path / "no-model.pcam", "--output", output, code=2)
    assert f"there is no folder {output.parent}; create it first" in said.stderr


def test_an_exported_model_is_not_exported_again(named, tmp_path):
    cli("export", named, "--output", tmp_path / "m.onnx")
    said = cli("export", tmp_path / "m.onnx", "--output", tmp_path / "again.onnx", code=2)
    assert "OnnxClassifier cannot be exported" in said.stderr
    assert "Exception encountered" not in said.stderr  # Keras' words around it.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--subset", "train"), "--subset is about --int8 DATA"),
        (("--random-state", 0), "--random-state is about --int8 DATA"),
        (("--output", "model"), "must end in .onnx"),
    ],
    ids=str,
)
def test_options_that_mean_nothing_are_found_before_the_model_is_loaded(options, message, tmp_path):
    (tmp_path / "model.pcam").touch()
    said = cli("export", tmp_path / "model.pcam", *options, code=2)
    assert message in " ".join(said.stderr.split())
