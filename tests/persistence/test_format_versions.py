"""Files of every version of the format, which stay in the repository, give what they gave.

A new version gets a folder of its own by ``python -m support.model_files data/models/vN``. The
folders of older versions are never written again.
"""

from pathlib import Path

import keras
import numpy as np
import pytest
from support.model_files import X, built_pipeline, put_together, take_apart

from pcam_sklearn.persistence import ModelFileError, load_model, save_model
from pcam_sklearn.persistence._manifest import FORMAT_VERSION

MODELS = Path(__file__).parents[1] / "data" / "models"
FILES = sorted(MODELS.glob("v*/*.pcam"))
# The files were written with the versions of their day, on TensorFlow.
pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.InconsistentVersionWarning",
    "ignore:version .* wrote this model:pcam_sklearn.persistence.ModelFileWarning",
)


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_file_gives_the_probabilities_and_labels_that_are_kept_beside_it(path):
    expected = np.load(path.parent / "expected.npz")
    model = load_model(path)
    found = model.predict_proba(expected["X"])
    # An isotonic calibration may rise by a whole step between two neighbouring numbers.
    tolerance = 0.02 if path.stem == "isotonic" else 1e-5
    wanted = expected[f"{path.stem} probabilities"]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance)
    np.testing.assert_array_equal(model.predict(expected["X"]), expected[f"{path.stem} labels"])


def test_there_are_files_of_every_version():
    assert {path.parent.name for path in FILES} == {f"v{n + 1}" for n in range(FORMAT_VERSION)}


@pytest.fixture
def parts(tmp_path):
    path = tmp_path / "model.pcam"
    save_model(built_pipeline(), path)
    return path, *take_apart(path)


def test_a_newer_version_of_the_format_is_refused(parts):
    path, members, manifest = parts
    put_together(path, members, manifest | {"format_version": FORMAT_VERSION + 1})
    with pytest.raises(ModelFileError, match=r"its format has version 2.*git pull and pip install"):
        load_model(path)


def test_another_version_of_scikit_learn_warns_as_scikit_learn_does(parts):
    from sklearn.exceptions import InconsistentVersionWarning

    path, members, manifest = parts
    manifest["versions"]["scikit-learn"] = "0.1"
    put_together(path, members, manifest)
    with pytest.warns(InconsistentVersionWarning, match="Pipeline from version 0.1"):
        load_model(path)


@pytest.mark.parametrize("package", ["keras", "pcam-sklearn"])
def test_another_version_of_keras_or_of_this_package_warns(package, parts):
    from pcam_sklearn.persistence import ModelFileWarning

    path, members, manifest = parts
    manifest["versions"][package] = "0.1"
    put_together(path, members, manifest)
    with pytest.warns(ModelFileWarning, match=f"version 0.1 of {package} wrote this model"):
        model = load_model(path)
    assert model.predict_proba(X[:1]).shape == (1, 2)


def test_networks_are_compared_layer_by_layer(parts):
    path, members, manifest = parts
    manifest["estimators"][2]["network"]["layers"] = "0" * 64
    put_together(path, members, manifest)
    with pytest.raises(ModelFileError, match="is built of other layers than the one"):
        load_model(path)
    assert keras.config.dtype_policy().name == "float32"
