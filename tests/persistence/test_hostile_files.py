"""Files made to hurt, with every hash and checksum right: each is refused, by name and in words."""

import io
import json
import os
import pickle
import struct
import zipfile

import joblib
import numpy as np
import pytest
from safetensors.numpy import load, save
from support.model_files import (
    Y,
    built_pipeline,
    calibrated,
    fixed,
    own_pipeline,
    put_together,
    take_apart,
)
from support.tiny import linear

from pcam_sklearn import CNNClassifier
from pcam_sklearn._archive import write_archive
from pcam_sklearn._training._blueprint import Blueprint
from pcam_sklearn.persistence import ModelFileError, load_model, read_metadata, save_model


def one(value, dtype="<U8"):
    """Return an array of one value, which NumPy compares as if it were the value."""
    return {"array": dtype, "shape": [1], "values": [value]}


CLASSIFIER = 2  # The place of the classifier in the list of estimators.


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "model.pcam"
    save_model(built_pipeline(), path)
    return path


@pytest.fixture
def forged(original, tmp_path):
    """Return a function that edits the manifest, and returns the file that says so."""

    def forge(edit, **members):
        found, manifest = take_apart(original)
        edit(manifest)
        return put_together(tmp_path / "forged.pcam", {**found, **members}, manifest)

    return forge


def refused(path, match, **options):
    with pytest.raises(ModelFileError, match=match) as error:
        load_model(path, **options)
    assert os.fspath(path) in str(error.value)


def classifier_of(manifest):
    return manifest["estimators"][CLASSIFIER]


def everywhere(manifest, **parameters):
    """Set parameters of the classifier and of what its network was built from."""
    node = classifier_of(manifest)
    node["parameters"].update(parameters)
    node["network"]["built_from"]["parameters"].update(parameters)


# What is no model file


def test_a_missing_file_is_a_file_not_found_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pcam"):
        load_model(tmp_path / "nowhere.pcam")


def test_a_folder_is_refused(tmp_path):
    refused(tmp_path, "it is a folder")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path):
    os.mkfifo(tmp_path / "pipe.pcam")
    refused(tmp_path / "pipe.pcam", "no regular file")


@pytest.mark.parametrize("dump", [joblib.dump, lambda o, p: p.write_bytes(pickle.dumps(o))])
def test_a_pickle_is_refused_with_the_way_to_convert_it(dump, tmp_path):
    dump([1, 2], tmp_path / "model.joblib")
    refused(tmp_path / "model.joblib", r"save_model\(joblib\.load\(path\), 'model\.pcam'\)")


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"PK\5\6" + bytes(18), b"\x89PNG"])
def test_a_few_bytes_are_refused(content, tmp_path):
    (tmp_path / "bad.pcam").write_bytes(content)
    refused(tmp_path / "bad.pcam", "cannot be loaded")


def test_a_zip_of_another_kind_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "other.pcam", "w") as file:
        file.writestr("config.json", "{}")
    refused(tmp_path / "other.pcam", "it does not end in the directory")


# The zip


def test_python_and_other_tools_read_the_zip(original):
    with zipfile.ZipFile(original) as file:
        assert file.testzip() is None
        assert file.namelist() == [
            "manifest.json", "weights.safetensors", "README.md", "requirements.txt"
        ]  # fmt: skip


def test_the_same_model_packed_by_another_program_is_refused(original, tmp_path):
    members, _ = take_apart(original)
    with zipfile.ZipFile(tmp_path / "packed.pcam", "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    refused(tmp_path / "packed.pcam", "another program packed it")


@pytest.mark.parametrize("place", ["before", "behind", "between"])
def test_bytes_around_the_members_are_refused(place, original, tmp_path):
    data = original.read_bytes()
    middle = data.index(b"PK\3\4", 4)
    changed = {
        "before": b"#!/bin/sh\n" + data,
        "behind": data + b"\0",
        "between": data[:middle] + b"\0" + data[middle:],
    }
    (tmp_path / "bad.pcam").write_bytes(changed[place])
    refused(tmp_path / "bad.pcam", "cannot be loaded")


@pytest.mark.parametrize("name", ["../evil.txt", "/tmp/evil", "model.pkl", "manifest.json"])
def test_another_member_is_refused(name, original, tmp_path):
    members, _ = take_apart(original)
    buffer = io.BytesIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pcam_sklearn._archive.MEMBERS", (*members, name))
        patch.setitem(write_archive.__globals__["LARGEST"], name, 2**20)
        write_archive(buffer, {**members, name: members.get(name, b"evil")})
    (tmp_path / "bad.pcam").write_bytes(buffer.getvalue())
    refused(tmp_path / "bad.pcam", "cannot be loaded")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.pcam"]


def test_a_member_that_its_hash_does_not_fit_is_refused(original, tmp_path):
    members, _ = take_apart(original)
    with open(tmp_path / "bad.pcam", "wb") as file:
        write_archive(file, members | {"README.md": b"# Approved for diagnosis"})
    refused(tmp_path / "bad.pcam", "its manifest lists by size and SHA-256")


@pytest.mark.parametrize("missing", ["manifest.json", "weights.safetensors"])
def test_a_missing_member_is_refused(missing, original, tmp_path):
    members, manifest = take_apart(original)
    if missing == "manifest.json":
        with open(tmp_path / "bad.pcam", "wb") as file:
            write_archive(file, {k: v for k, v in members.items() if k != missing})
    else:
        members.pop(missing)
        put_together(tmp_path / "bad.pcam", members, manifest)
    refused(tmp_path / "bad.pcam", missing)


def test_a_member_beyond_the_limit_is_refused_before_it_is_read(original, tmp_path):
    path = tmp_path / "bad.pcam"
    members, _ = take_apart(original)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(write_archive.__globals__["LARGEST"], "README.md", 2**22)
        with open(path, "wb") as file:
            write_archive(file, members | {"README.md": bytes(2**21)})
    refused(path, r"README\.md has 2,097,152 bytes, and at most 1,048,576")


# The manifest


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (b"[" * 100_000, "cannot be loaded"),
        (b'{"a": NaN}', "NaN, which is no JSON"),
        (b'{"format": 1, "format": 2}', "a name twice"),
        (b"\xff\xfe", "no sound JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "cannot be loaded"),
        (b"null", "no model file"),
        (pickle.dumps(1), "no sound JSON"),
    ],
)
def test_a_manifest_that_is_no_sound_json_is_refused(text, match, original, tmp_path):
    members, _ = take_apart(original)
    with open(tmp_path / "bad.pcam", "wb") as file:
        write_archive(file, members | {"manifest.json": text})
    refused(tmp_path / "bad.pcam", match)


def test_an_estimator_outside_the_list_is_refused(forged):
    def edit(manifest):
        manifest["estimators"][0]["type"] = "sklearn.preprocessing.FunctionTransformer"

    refused(forged(edit), "names the estimator 'sklearn.*a model file holds only CNN")


def test_an_estimator_that_holds_itself_is_refused(forged):
    def edit(manifest):
        manifest["estimators"][-1]["steps"][2][1] = 3

    refused(forged(edit), "names no estimator that stands before its owner")


def test_an_estimator_that_no_other_holds_is_refused(forged):
    def edit(manifest):
        manifest["estimators"].insert(3, manifest["estimators"][0])

    refused(forged(edit), "its estimator 3, a PatchReader, is held by no other")


def test_more_networks_than_a_file_holds_are_refused_before_one_is_built(forged, monkeypatch):
    def edit(manifest):
        manifest["estimators"][:0] = [classifier_of(manifest)] * 100

    monkeypatch.setattr("pcam_sklearn.persistence._networks._build", None)
    refused(forged(edit), "it holds more than 100 networks")


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("shell", "x", "has no parameter 'shell'"),
        ("__class__", "x", "has no parameter '__class__'"),
        ("optimizer", {"value": {"class_name": "x"}}, "optimizer is not as"),
        ("loss", {"keras": "losses.deserialize"}, "is no loss, metric or optimizer of Keras"),
        ("metrics", {"list": [{"keras": "saving.load_model"}]}, "is no loss, metric or optimizer"),
        ("callbacks", {"keras": "callbacks.LambdaCallback"}, "callbacks is not as"),
        ("learning_rate", {"float": "nan"}, "learning_rate must be a finite number"),
        ("epochs", 0, "epochs == 0, must be >= 1"),
        ("dropout", 1.5, "cannot be loaded"),
        ("augment", "lambda", "augment must be one of"),
        ("compile__loss", {"dict": [["class_name", "Lambda"]]}, "compile__loss must be"),
        ("model__weights", "/etc/passwd", "must be None, 'imagenet' or 'pcam'"),
        ("network", "resnet", "network must be one of"),
        ("random_state", -1, "random_state must be"),
        ("model__weights", one("imagenet"), "model__weights must be None, 'imagenet' or 'pcam'"),
        ("model__weights", one("pcam", "object"), "model__weights must be None, 'imagenet' or"),
        ("class_weight", one("balanced"), "class_weight must be a dict of weights by label"),
        ("schedule", one("cosine"), "schedule must be a finite number, text, a flag or None"),
        ("dtype_policy", one("float32"), "dtype_policy must be a finite number, text"),
        ("third_pool", one(2, "int64"), "third_pool must be a finite number, text"),
        ("augment", one("d4"), "augment must be text, a list or tuple of text, or None"),
        ("filters", {"array": "int64", "shape": [], "values": [2]}, "filters must be finite"),
    ],
)
def test_a_parameter_that_the_class_does_not_allow_is_refused(name, value, match, forged):
    refused(forged(lambda manifest: everywhere(manifest, **{name: value})), match)


@pytest.mark.parametrize(
    "parameters",
    [
        {"filters": {"tuple": [10**9] * 3}},
        {"filters": {"tuple": [3000] * 3}},
        {"dense_units": 10**9},
        {"network": "residual", "filters": [2, 2], "model__blocks": 10**6},
        {"network": "residual", "filters": [1] * 5000},
    ],
    ids=str,
)
def test_a_network_larger_than_its_arrays_takes_no_memory(parameters, forged):
    if "network" in parameters:
        parameters |= {"dense_units": None, "third_pool": None}
    path = forged(lambda manifest: everywhere(manifest, **parameters))
    refused(path, "a larger network than|arrays are not those of the network")


def test_weights_of_a_name_are_neither_downloaded_nor_read(forged, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("asked for a file")

    monkeypatch.setattr("keras.utils.get_file", refuse)
    small = {"network": "transfer", "dense_units": None, "third_pool": None, "filters": None}
    path = forged(lambda m: everywhere(m, **small, model__weights="imagenet"))
    refused(path, "a shape|arrays are not those of the network|cannot be built")


def test_an_array_is_no_word_for_a_calibration(tmp_path):
    save_model(calibrated("sigmoid"), tmp_path / "model.pcam")
    members, manifest = take_apart(tmp_path / "model.pcam")
    manifest["estimators"][-1]["parameters"]["cv"] = one("prefit")
    put_together(tmp_path / "bad.pcam", members, manifest)
    refused(tmp_path / "bad.pcam", "cv of CalibratedClassifierCV must be None, 'prefit'")


def test_an_array_is_no_word_for_a_threshold(tmp_path):
    save_model(fixed(built_pipeline()), tmp_path / "model.pcam")
    members, manifest = take_apart(tmp_path / "model.pcam")
    manifest["estimators"][-1]["parameters"]["threshold"] = one("auto")
    put_together(tmp_path / "bad.pcam", members, manifest)
    refused(tmp_path / "bad.pcam", "threshold of FixedThresholdClassifier must be 'auto' or a num")


@pytest.mark.parametrize("network", ["transfer", "efficientnet-lite0"])
def test_published_networks_are_built_without_weights_whatever_a_file_says_of_them(network):
    weights = np.array(["imagenet"])
    parameters = {"network": network, "model__weights": weights, "metrics": ()}
    blueprint = Blueprint(parameters, (32, 32, 3), "float32", 0)
    assert blueprint.build_network(CNNClassifier, weights_follow=True).count_params() > 0


def test_a_function_that_a_file_names_is_not_imported(tmp_path):
    save_model(own_pipeline(), tmp_path / "model.pcam")
    members, manifest = take_apart(tmp_path / "model.pcam")
    everywhere(manifest, network={"function": "antigravity.fly"})
    put_together(tmp_path / "model.pcam", members, manifest)
    refused(tmp_path / "model.pcam", r"built by 'antigravity\.fly'; import that")
    assert load_model(tmp_path / "model.pcam", network=linear)[-1].network is linear


def test_sides_beyond_the_limit_are_refused(forged):
    def edit(manifest):
        manifest["estimators"][1]["parameters"]["input_size"] = 10**9

    refused(forged(edit), "input_size of CenterCropNormalizer must be a side of 1 to 4096")


def test_a_center_that_takes_megabytes_of_each_patch_is_refused(forged):
    def edit(manifest):
        manifest["estimators"][1]["parameters"].update(crop_size=4096, input_size=4096)

    refused(forged(edit), "crop_size of CenterCropNormalizer must be a side of 1 to 1024 pixels")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("classes_", {"array": "int64", "shape": [2], "values": [1, 1]}),
        ("classes_", {"array": "int64", "shape": [10**9, 0], "values": []}),
        ("classes_", {"array": "int8", "shape": [2], "values": [0, 300]}),
        ("classes_", {"array": "<U9999", "shape": [9000], "values": ["a"] * 9000}),
        ("X_shape_", {"tuple": [1, 2]}),
        ("history_", {"dict": [["loss", "x"]]}),
        ("model_", 1),
        ("predict_proba", 1),
    ],
)
def test_a_learned_attribute_of_another_form_is_refused(name, value, forged):
    path = forged(lambda manifest: classifier_of(manifest)["learned"].update({name: value}))
    refused(path, name)


def wide(n):
    """Return an array of n empty texts, each of which takes 40 kilobytes of memory."""
    return {"array": "<U9999", "shape": [n], "values": [""] * n}


def test_arrays_that_take_too_much_memory_together_are_refused_when_metadata_are_read(forged):
    path = forged(lambda manifest: manifest.update(metadata={"a": wide(900), "b": wide(900)}))
    with pytest.raises(ModelFileError, match=r"holds arrays of 71,992,800 bytes, and at most 67,"):
        read_metadata(path)


def test_arrays_that_take_too_much_memory_together_are_refused_as_parameters(forged):
    path = forged(lambda manifest: everywhere(manifest, filters=wide(900)))
    refused(path, "holds arrays of 71,992,8.. bytes, and at most 67,108,864 are read")


@pytest.mark.parametrize("value", [[], "", 0, False, "x"], ids=repr)
@pytest.mark.parametrize("part", ["operating_point", "metrics", "metadata", "data_sha256"])
def test_metadata_of_another_form_are_refused(part, value, forged):
    path = forged(lambda manifest: manifest.update({part: value}))
    with pytest.raises(ModelFileError, match="its metadata are not as the package writes them"):
        read_metadata(path)


def test_metadata_that_are_null_are_refused(forged):
    path = forged(lambda manifest: manifest.update(metadata=None))
    with pytest.raises(ModelFileError, match="its metadata are not as the package writes them"):
        read_metadata(path)


def test_metadata_that_nest_deeply_are_refused_when_they_are_read(forged):
    deep = json.loads("[" * 300 + "]" * 300)
    path = forged(lambda manifest: manifest.update(metadata={"a": deep}))
    with pytest.raises(ModelFileError, match="its manifest nests more than 200 times"):
        read_metadata(path)


def test_a_calibration_of_another_form_is_refused(tmp_path):
    save_model(calibrated("isotonic"), tmp_path / "model.pcam")
    members, manifest = take_apart(tmp_path / "model.pcam")
    node = manifest["estimators"][-1]["calibrated"][0]["calibrators"][0]
    node["y_thresholds_"]["values"][-1] = 2.0
    put_together(tmp_path / "bad.pcam", members, manifest)
    refused(tmp_path / "bad.pcam", "the thresholds of an isotonic calibration")


# The arrays


def test_other_arrays_are_refused(original, forged):
    members, _ = take_apart(original)
    arrays = load(members["weights.safetensors"])
    name = next(iter(arrays))
    for changed in (
        {**arrays, "extra": np.zeros(1)},
        {k: v for k, v in arrays.items() if k != name},
        {**arrays, name: np.zeros((1, 2, 3), np.float32)},
    ):
        path = forged(lambda _: None, **{"weights.safetensors": save(changed)})
        refused(path, "belongs to no estimator|arrays are not those of the network")


def test_more_arrays_than_a_file_holds_are_refused(forged):
    arrays = save({str(n): np.zeros(0, np.float32) for n in range(20_001)})
    path = forged(lambda _: None, **{"weights.safetensors": arrays})
    refused(path, "it has 20,001 arrays, and at most 20,000 are read")


def test_a_long_header_is_refused_before_the_arrays_are_parsed(forged, monkeypatch):
    monkeypatch.setattr("pcam_sklearn._members.load", None)
    arrays = struct.pack("<Q", 2**22 + 8) + b"{}".ljust(2**22 + 8)
    path = forged(lambda _: None, **{"weights.safetensors": arrays})
    refused(
        path, r"the header of its weights\.safetensors has 4,194,312 bytes, and at most 4,194,30"
    )


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps(1),
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 80)
        + json.dumps({"a": {"dtype": "F32", "shape": [2**31, 2**31], "data_offsets": [0, 4]}})
        .ljust(80)
        .encode(),
    ],
    ids=["pickle", "huge header", "huge array"],
)
def test_arrays_that_are_no_safetensors_are_refused(content, forged):
    path = forged(lambda _: None, **{"weights.safetensors": content})
    refused(path, r"its weights\.safetensors is damaged")


def test_all_labels_were_used(original):
    assert load_model(original).classes_.tolist() == sorted(set(Y.tolist()))
