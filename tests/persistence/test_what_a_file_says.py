"""The manifest, the card and the requirements: what a file says about its model, and its size."""

import os

import numpy as np
import pytest
from support.model_files import GROUPS, X, Y, built_pipeline, take_apart
from support.tiny import make_data

from pcam_sklearn import make_pcam_pipeline
from pcam_sklearn.metrics import OperatingPoint, choose_operating_point
from pcam_sklearn.persistence import ModelFileError, load_model, read_metadata, save_model
from pcam_sklearn.report import evaluate_predictions, hash_patches

HOLDS_ITSELF = []
HOLDS_ITSELF.append(HOLDS_ITSELF)
WIDE = np.zeros(900, "<U9999")


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    """Return a file with all metadata, and the evaluation in it."""
    pipeline = built_pipeline()
    scores = pipeline.predict_proba(X)[:, 1]
    point = choose_operating_point(Y, scores, specificity=0.5)
    evaluation = evaluate_predictions(
        Y, scores, GROUPS, operating_point=point, n_rounds=100, name="other slides"
    )
    path = tmp_path_factory.mktemp("described") / "model.pcam"
    facts = {
        "evaluation": evaluation,
        "data_sha256": hash_patches(X),
        "title": "A: small model",
        "license": "bsd-3-clause",
        "data": {"source": "synthetic"},
        "seeds": (1, 2.5, None),
    }
    save_model(pipeline, path, metadata=facts)
    return path, evaluation


@pytest.mark.slow
def test_metadata_come_back_without_the_model(described):
    path, evaluation = described
    found = read_metadata(path)
    assert found["seeds"] == (1, 2.5, None)
    assert found["title"] == "A: small model"
    assert found["data_sha256"] == hash_patches(X)
    assert found["operating_point"] == vars(evaluation.operating_point)
    assert found["metrics"]["ROC AUC"] == {
        "estimate": evaluation.auc.estimate,
        "low": evaluation.auc.low,
        "high": evaluation.auc.high,
    }
    assert found["metrics"]["measured on"] == "other slides"


@pytest.mark.slow
def test_the_card_begins_with_the_header_of_a_model_hub(described):
    card = take_apart(described[0])[0]["README.md"].decode()
    header = card.split("---\n")[1].splitlines()
    assert header[:2] == ['license: "bsd-3-clause"', "library_name: sklearn"]
    assert "pipeline_tag: image-classification" in header
    assert any(line.startswith('model-index: [{"name": "A: small model"') for line in header)
    assert "Not a medical device" in card or "not a medical device" in card
    assert "## Known failure modes" in card
    assert ".png" not in card


def test_without_an_evaluation_the_card_says_that_nothing_is_known(tmp_path):
    path = tmp_path / "model.pcam"
    save_model(built_pipeline(), path)
    members, manifest = take_apart(path)
    assert "**not known**" in members["README.md"].decode()
    assert manifest["metrics"] is None
    requirements = members["requirements.txt"].decode()
    for package in ("pcam-sklearn", "scikit-learn", "keras"):
        assert f"{package}=={manifest['versions'][package]}" in requirements


def test_a_title_is_shown_as_it_is_and_a_threshold_that_nothing_reaches_in_words(tmp_path):
    title = "A | <script>alert(1)</script>\n\n# B \udcff"
    point = OperatingPoint(np.inf, 0.0, 1.0, "specificity >= 0.9 <b>")
    save_model(
        built_pipeline(),
        tmp_path / "m.pcam",
        metadata={"title": title, "operating_point": point},
    )
    card = take_apart(tmp_path / "m.pcam")[0]["README.md"].decode()
    body = card.split("---", 2)[2]
    assert r"# A \| \<script\>alert(1)\</script\> \# B" in body
    assert r"none is positive (specificity \>= 0.9 \<b\>)" in body
    assert read_metadata(tmp_path / "m.pcam")["title"] == title


@pytest.mark.parametrize(
    ("learned", "match"),
    [
        ({"history_": {"loss": ["x"]}}, "history_ must be lists of numbers by name"),
        ({"groups_": np.array([b"a"])}, "groups_ is an array of .*; use numbers or text"),
        ({"n_iter_": -1}, "n_iter_ must be a whole number"),
    ],
)
def test_what_cannot_be_read_again_is_not_written(learned, match, tmp_path):
    pipeline = built_pipeline()
    vars(pipeline[-1]).update(learned)
    with pytest.raises(ModelFileError, match=match):
        save_model(pipeline, tmp_path / "model.pcam")
    assert not (tmp_path / "model.pcam").exists()


def test_slides_that_are_objects_are_written_as_numbers(tmp_path):
    pipeline = built_pipeline()
    pipeline[-1].groups_ = np.array([np.int64(7), np.int64(8)], dtype=object)
    save_model(pipeline, tmp_path / "model.pcam")
    assert load_model(tmp_path / "model.pcam")[-1].groups_.tolist() == [7, 8]


@pytest.mark.parametrize(
    ("metadata", "match"),
    [
        ({"data_sha256": "x"}, "is no SHA-256; pass .*hash_patches"),
        ({"operating_point": {"threshold": 1}}, "choose_operating_point"),
        ({"note": object()}, r"metadata\['note'\]=.* is no plain data"),
        ({"title": 1}, "must be text"),
        ({"confusion": {(0, 1): 5}}, "has keys that are neither text nor numbers"),
        ({"confusion": {None: 5}}, "has keys that are neither text nor numbers"),
        ({"data": "kaggle"}, r"metadata\['data'\]='kaggle' must be a dict of facts"),
        ({"data": [("a", 1)]}, r"metadata\['data'\]=.* must be a dict of facts"),
        ("text", "metadata='text' must be a dict of facts by name"),
        ([("a", 1)], r"metadata=\[\('a', 1\)\] must be a dict of facts by name"),
        ("", "metadata='' must be a dict of facts by name"),
        ({"evaluation": "x"}, r"metadata\['evaluation'\]='x' is none; pass .*report\.evaluate"),
        ({"operating_point": 5}, r"metadata\['operating_point'\]=5 is none; pass the result"),
        ({"metrics": {"a": 1}}, r"metadata\['metrics'\] are not those that read_metadata returns"),
        ({"a": HOLDS_ITSELF}, r"metadata\['a'\] nests too deeply, or holds itself"),
        ({"a": np.longdouble(1)}, r"metadata\['a'\] is an array of float128"),
        ({"a": np.ma.masked}, r"metadata\['a'\]=masked is no plain data"),
        ({"a": np.zeros(1700, "<U9999")}, r"metadata\['a'\] is an array of 67,993,200 bytes"),
        ({"a": WIDE, "b": WIDE}, "the manifest holds arrays of 71,992,800 bytes"),
    ],
)
def test_metadata_that_a_file_cannot_hold_are_refused(metadata, match, tmp_path):
    with pytest.raises(ModelFileError, match=match):
        save_model(built_pipeline(), tmp_path / "model.pcam", metadata=metadata)


def test_the_default_model_takes_at_most_a_tenth_more_than_its_weights(tmp_path):
    patches, y = make_data(n=8, side=96)
    pipeline = make_pcam_pipeline(random_state=0)
    pipeline[-1].initialize(patches, y)
    path = tmp_path / "model.pcam"
    save_model(pipeline, path)
    weights = sum(np.asarray(v).nbytes for v in pipeline[-1].model_.variables)
    assert os.path.getsize(path) <= 1.1 * weights
    assert load_model(path)[-1].model_.count_params() == pipeline[-1].model_.count_params()


def test_saving_twice_gives_the_same_bytes(tmp_path):
    pipeline = built_pipeline()
    for name in ("a.pcam", "b.pcam"):
        save_model(pipeline, tmp_path / name)
    assert (tmp_path / "a.pcam").read_bytes() == (tmp_path / "b.pcam").read_bytes()


def test_names_of_arrays_that_are_too_long_to_be_read_are_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr("pcam_sklearn._members._LONGEST_HEADER", 100)
    with pytest.raises(ModelFileError, match=r"header of its weights\.safetensors .* joblib"):
        save_model(built_pipeline(), tmp_path / "model.pcam")
