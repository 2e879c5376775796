"""Weights out of a model file: the file is checked as it is when a model is loaded from it."""

import re

import pytest
from support.model_files import put_together, take_apart
from support.tiny import make_data, quick

from pcam_sklearn._archive import write_archive
from pcam_sklearn.networks import efficientnet_lite0
from pcam_sklearn.networks._own_weights import slides_behind
from pcam_sklearn.persistence import save_model

LITE = {"network": "efficientnet-lite0", "model__stages": 1, "model__enlarge": 1}
X, Y = make_data(8, side=32)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model.pcam"
    save_model(quick(**LITE, model__weights=None).initialize(X, Y), path)
    return path


def refused(path, match):
    with pytest.raises(ValueError, match=rf"weights='{re.escape(str(path))}' cannot be .*{match}"):
        quick(**LITE, model__weights=str(path)).initialize(X, Y)


def test_weights_that_their_hash_does_not_fit_are_refused(saved, tmp_path):
    members, _ = take_apart(saved)
    weights = bytearray(members["weights.safetensors"])
    weights[-1] ^= 1
    with open(tmp_path / "bad.pcam", "wb") as file:
        write_archive(file, members | {"weights.safetensors": bytes(weights)})
    with pytest.raises(ValueError, match=r"bad\.pcam' cannot be read: .* by size and SHA-256"):
        efficientnet_lite0((32, 32, 3), weights=tmp_path / "bad.pcam", stages=1, enlarge=1)


def test_an_array_that_takes_too_much_memory_is_refused(saved, monkeypatch):
    monkeypatch.setattr("pcam_sklearn._members._LARGEST_ARRAY", 8)
    refused(saved, "and at most 8 are read from a model file")


def test_a_file_without_arrays_is_refused(saved, tmp_path):
    members, manifest = take_apart(saved)
    del members["weights.safetensors"]
    refused(put_together(tmp_path / "bad.pcam", members, manifest), r"no weights\.safetensors")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (b"[" * 100_000, "nests too deeply"),
        (b"{}", "no model file"),
        (b"[]", "no model file"),
        (b'{"format": ', "no sound JSON"),
    ],
)
def test_a_manifest_that_is_no_sound_json_is_refused(text, match, saved, tmp_path):
    members, _ = take_apart(saved)
    with open(tmp_path / "bad.pcam", "wb") as file:
        write_archive(file, members | {"manifest.json": text})
    refused(tmp_path / "bad.pcam", match)


@pytest.mark.parametrize("estimators", [None, 5, [5]])
def test_a_list_of_estimators_of_another_form_is_refused(estimators, saved, tmp_path):
    members, manifest = take_apart(saved)
    manifest["estimators"] = estimators
    refused(put_together(tmp_path / "bad.pcam", members, manifest), "its list of estimators is not")


@pytest.mark.parametrize(
    "learned",
    [
        {"groups_": 5},
        {"groups_": {"array": "int64", "shape": [1, 1], "values": [5]}},
        {"groups_": None, "groups_complete_": "yes"},
    ],
    ids=str,
)
def test_slides_of_another_form_are_refused(learned, saved, tmp_path):
    members, manifest = take_apart(saved)
    manifest["estimators"][0]["learned"].update(learned)
    refused(put_together(tmp_path / "bad.pcam", members, manifest), "its list of slides is not")


def test_slides_of_two_networks_are_refused(saved, tmp_path):
    members, manifest = take_apart(saved)
    manifest["estimators"] *= 2
    refused(put_together(tmp_path / "bad.pcam", members, manifest), "it holds 2 networks")


def test_a_node_that_learned_nothing_knows_no_slides(saved, tmp_path):
    members, manifest = take_apart(saved)
    manifest["estimators"] = [{"learned": 5}]
    path = put_together(tmp_path / "odd.pcam", members, manifest)
    assert slides_behind(path) == (None, False)
