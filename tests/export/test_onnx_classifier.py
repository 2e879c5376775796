"""The classifier around an ONNX file: what it takes, refuses and survives."""

import json
import pickle
import shutil

import cv2
import joblib
import numpy as np
import pytest
from sklearn.base import clone, is_classifier
from sklearn.model_selection import cross_val_score
from support.model_files import X, Y, built_pipeline, fixed
from support.other_process import run_python
from support.tiny import PATCH_SIDE

from pcam_sklearn.persistence import ModelFileError

onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")
pytest.importorskip("tf2onnx", reason="needs the extra onnx")

from pcam_sklearn.export import OnnxClassifier, export_onnx, make_onnx_pipeline  # noqa: E402
from pcam_sklearn.export._facts import KEY  # noqa: E402
from pcam_sklearn.export._seal import seal  # noqa: E402


@pytest.fixture(scope="module")
def pipeline():
    return built_pipeline()


@pytest.fixture(scope="module")
def file(pipeline, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    export_onnx(pipeline, path, verbose=0)
    return path


def changed(file, folder, change):
    """Write the file after a change of its graph, as a forger would, and return the path."""
    model = onnx.load(file)
    change(model)
    path = folder / "changed.onnx"
    path.write_bytes(seal(model.SerializeToString()))
    return path


# --- what it takes


def test_fit_reads_a_file_that_was_written_again(file, tmp_path):
    path = tmp_path / "model.onnx"
    shutil.copy(file, path)
    served = OnnxClassifier(path)
    patches = np.random.default_rng(0).integers(0, 256, (9, 20, 20, 3), dtype=np.uint8)
    before = served.predict_proba(patches)
    export_onnx(built_pipeline(random_state=5), path, verbose=0)
    np.testing.assert_array_equal(served.predict_proba(patches), before)
    after = served.fit(patches).predict_proba(patches)
    np.testing.assert_array_equal(after, OnnxClassifier(path).predict_proba(patches))
    assert np.abs(after - before).max() > 1e-4


def test_files_give_what_their_pixels_give(file, tmp_path):
    paths = [str(tmp_path / f"{i}.png") for i in range(4)]
    for path, patch in zip(paths, X, strict=False):
        cv2.imwrite(path, patch[..., ::-1])
    served = make_onnx_pipeline(file)
    np.testing.assert_array_equal(served.predict_proba(paths), served.predict_proba(X[:4]))


def test_a_fit_that_fails_keeps_what_a_pickle_brought(file, tmp_path):
    path = tmp_path / "model.onnx"
    shutil.copy(file, path)
    served = pickle.loads(pickle.dumps(OnnxClassifier(path)))
    patches = np.random.default_rng(0).integers(0, 256, (3, 20, 20, 3), dtype=np.uint8)
    before = served.predict_proba(patches)
    path.write_bytes(b"damaged")
    with pytest.raises(ModelFileError):
        served.fit(patches)
    np.testing.assert_array_equal(served.predict_proba(patches), before)


@pytest.mark.parametrize("path", [None, 3, b"model.onnx"])
def test_a_path_that_is_none_is_refused(path):
    with pytest.raises(TypeError, match="path must be the path of an ONNX file"):
        make_onnx_pipeline(path)


def test_patches_of_another_size_are_resized_as_in_the_pipeline(file, pipeline):
    larger = np.repeat(np.repeat(X[:4], 2, axis=1), 2, axis=2)
    expected = pipeline.predict_proba(larger)
    np.testing.assert_allclose(make_onnx_pipeline(file).predict_proba(larger), expected, atol=1e-5)


def test_a_memory_map_is_taken(file, tmp_path):
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    classifier = OnnxClassifier(file)
    np.testing.assert_array_equal(classifier.predict_proba(mapped), classifier.predict_proba(X))


def test_floats_are_the_bytes_they_came_from(file):
    classifier = OnnxClassifier(file)
    bytes_ = classifier.predict_proba(X)
    for dtype in (np.float32, np.float64):
        np.testing.assert_array_equal(classifier.predict_proba((X / 255).astype(dtype)), bytes_)


@pytest.mark.parametrize("batch_size", [1, 7, 40, 100])
def test_the_size_of_a_batch_changes_nothing(batch_size, file):
    found = OnnxClassifier(file, batch_size=batch_size).predict_proba(X)
    np.testing.assert_allclose(found, OnnxClassifier(file).predict_proba(X), atol=1e-6)


def test_rows_sum_to_one_in_64_bits(file):
    found = OnnxClassifier(file, n_threads=1).predict_proba(X)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found.sum(axis=1), 1)


@pytest.mark.slow
def test_labels_follow_a_threshold_of_the_pipeline(tmp_path):
    with_threshold = fixed(built_pipeline())
    export_onnx(with_threshold, tmp_path / "m.onnx", verbose=0)
    labels = make_onnx_pipeline(tmp_path / "m.onnx").predict(X)
    assert labels.tolist() == with_threshold.predict(X).tolist()
    assert sorted(set(labels)) == [0, 1]


# --- what scikit-learn asks of a classifier


def test_it_is_a_fitted_classifier_that_learns_nothing(file):
    classifier = OnnxClassifier(file)
    assert is_classifier(classifier)
    before = classifier.predict_proba(X)
    np.testing.assert_array_equal(clone(classifier).fit(X, 1 - Y).predict_proba(X), before)


def test_it_can_be_scored_in_folds(file):
    scores = cross_val_score(make_onnx_pipeline(file), X, Y, cv=2, scoring="roc_auc")
    assert scores.shape == (2,)


@pytest.mark.parametrize("used", [True, False])
def test_a_pickle_works_where_the_file_is_not(used, file, tmp_path):
    path = tmp_path / "gone.onnx"
    shutil.copy(file, path)
    classifier = OnnxClassifier(path)
    if used:
        classifier.predict_proba(X)
    content = pickle.dumps(classifier)
    path.unlink()
    expected = OnnxClassifier(file).predict_proba(X)
    np.testing.assert_array_equal(pickle.loads(content).predict_proba(X), expected)


def test_a_clone_of_a_pickle_works_where_the_file_is_not(file, tmp_path):
    path = tmp_path / "gone.onnx"
    shutil.copy(file, path)
    content = pickle.dumps(OnnxClassifier(path))
    path.unlink()
    assert clone(pickle.loads(content)).predict_proba(X).shape == (40, 2)


@pytest.mark.parametrize("content", [None, b"no graph"])
def test_without_a_sound_file_a_notebook_shows_it_and_there_are_no_classes(content, tmp_path):
    path = tmp_path / "m.onnx"
    if content is not None:
        path.write_bytes(content)
    classifier = OnnxClassifier(path)
    assert not hasattr(classifier, "classes_")
    assert "OnnxClassifier" in classifier._repr_html_()
    with pytest.raises(AttributeError, match=r"m\.onnx"):
        classifier.metadata_  # noqa: B018


def test_another_path_is_another_file(file, tmp_path):
    classifier = OnnxClassifier(file)
    classifier.predict_proba(X)
    classifier.set_params(path=tmp_path / "none.onnx")
    with pytest.raises(FileNotFoundError, match=r"none\.onnx"):
        classifier.predict_proba(X)


def test_a_path_set_as_an_attribute_is_another_file_too(file, tmp_path):
    classifier = OnnxClassifier(file)
    classifier.predict_proba(X)
    classifier.path = tmp_path / "none.onnx"
    with pytest.raises(FileNotFoundError, match=r"none\.onnx"):
        classifier.predict_proba(X)


@pytest.mark.slow
def test_several_processes_can_share_the_work(file):
    served = make_onnx_pipeline(file, n_threads=1)
    parts = joblib.Parallel(2)(
        joblib.delayed(served.predict_proba)(part) for part in np.array_split(X, 2)
    )
    np.testing.assert_array_equal(np.concatenate(parts), served.predict_proba(X))


# --- what it refuses


def test_patches_of_another_shape_are_refused_with_what_to_use(file):
    with pytest.raises(ValueError, match=r"takes \(20, 20, 3\); use make_onnx_pipeline"):
        OnnxClassifier(file).predict_proba(X[:, 2:-2])


@pytest.mark.parametrize(
    ("patches", "message"),
    [
        (X[0], r"pass X\[np.newaxis\]"),
        (X.astype(np.float32), r"must already lie in \[0, 1\]"),
        (X.astype(np.int64), "got dtype int64"),
        (X[:0], "0 sample"),
        (np.full((1, PATCH_SIDE, PATCH_SIDE, 3), np.nan), "contains NaN"),
    ],
)
def test_what_the_pipeline_refuses_is_refused_with_the_same_words(patches, message, file, pipeline):
    for refuses in (OnnxClassifier(file), make_onnx_pipeline(file), pipeline):
        with pytest.raises(ValueError, match=message):
            refuses.predict_proba(patches)


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        ("n_threads", 0, "n_threads == 0, must be >= 1"),
        ("n_threads", 2000, "n_threads == 2000, must be <= 1024"),
        ("batch_size", 0, "batch_size == 0, must be >= 1"),
        ("providers", ("Abacus",), "must name some of those"),
        ("providers", (), "must name some of those"),
        ("providers", "CPUExecutionProvider", "must be a sequence of names, such as"),
        ("providers", None, "must be a sequence of names, such as"),
    ],
)
def test_parameters_out_of_range_are_refused(parameter, value, message, file):
    with pytest.raises(ValueError, match=message):
        OnnxClassifier(file, **{parameter: value}).predict_proba(X)


@pytest.mark.parametrize(
    "damage",
    [lambda c: b"", lambda c: c[: len(c) // 2], lambda c: b"\x00" * 100, lambda c: b"PK\3\4" + c],
    ids=["empty", "cut", "zeros", "another kind"],
)
def test_a_damaged_file_is_refused_with_its_name(damage, file, tmp_path):
    path = tmp_path / "damaged.onnx"
    path.write_bytes(damage(file.read_bytes()))
    with pytest.raises(ModelFileError, match=r"damaged\.onnx cannot be loaded"):
        OnnxClassifier(path).predict_proba(X)


def test_a_byte_of_the_weights_that_changed_is_noticed(file, tmp_path):
    content = bytearray(file.read_bytes())
    graph = onnx.load(file).graph
    weights = max((tensor.raw_data for tensor in graph.initializer), key=len)
    content[content.find(weights) + len(weights) // 2] ^= 1
    (tmp_path / "flipped.onnx").write_bytes(content)
    with pytest.raises(ModelFileError, match=r"flipped\.onnx cannot be loaded: it was damaged or"):
        make_onnx_pipeline(tmp_path / "flipped.onnx")


def test_a_file_with_something_behind_its_end_is_refused(file, tmp_path):
    another_producer = b"\x12\x01a"
    (tmp_path / "longer.onnx").write_bytes(file.read_bytes() + another_producer)
    with pytest.raises(ModelFileError, match=r"longer\.onnx .* export it again"):
        make_onnx_pipeline(tmp_path / "longer.onnx")


def test_a_graph_of_others_is_refused(file, tmp_path):
    def silence(model):
        del model.metadata_props[:]

    path = changed(file, tmp_path, silence)
    with pytest.raises(ModelFileError, match="says nothing about its classes"):
        make_onnx_pipeline(path)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("", "is damaged: JSONDecodeError"),
        ("[]", "is damaged: TypeError"),
        ('{"format_version": 2}', "has version 2, and this package reads up to 1"),
        ('{"format_version": 0}', "has no format version, got 0"),
        ('{"format_version": "1"}', "has no format version, got '1'"),
        ('{"format_version": 1}', "is damaged: KeyError"),
    ],
)
def test_damaged_facts_are_refused(said, message, file, tmp_path):
    def say(model):
        model.metadata_props[0].value = said

    with pytest.raises(ModelFileError, match=message):
        make_onnx_pipeline(changed(file, tmp_path, say))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"values": [0, 1]', '"values": [0, 0]'),
        ('"patch_shape": [20, 20, 3]', '"patch_shape": [20, 20]'),
        ('"patch_shape": [20, 20, 3]', '"patch_shape": [24, 24, 3]'),
        ('"resizes": true', '"resizes": 1'),
        ('"threshold": null', '"threshold": 0.5'),
        ('"threshold": null, "above": null', '"threshold": true, "above": 1'),
        ('"threshold": null, "above": null', '"threshold": 0.5, "above": [1]'),
        ('"slides": null', '"slides": {"array": "int64", "shape": [], "values": [1]}'),
        ('"reader_crop_size": null', '"reader_crop_size": -1'),
        ('"slides_complete": true', '"slides_complete": 1'),
    ],
)
def test_facts_that_do_not_fit_are_refused(before, after, file, tmp_path):
    def say(model):
        (text,) = (p for p in model.metadata_props if p.key == KEY)
        assert before in text.value
        text.value = text.value.replace(before, after)

    with pytest.raises(ModelFileError, match=r"does not fit together|has the ends"):
        make_onnx_pipeline(changed(file, tmp_path, say))


def test_a_file_that_does_not_tell_whether_its_slides_are_all_is_read(file, tmp_path):
    def say(model):
        (text,) = (p for p in model.metadata_props if p.key == KEY)
        text.value = text.value.replace('"slides_complete": true, ', "")

    classifier = make_onnx_pipeline(changed(file, tmp_path, say))[-1]
    assert (classifier.groups_, classifier.groups_complete_) == (None, False)


@pytest.mark.parametrize("point", [{}, {"threshold": 0.5}, {"threshold": "x"}])
def test_an_operating_point_that_is_none_is_refused(point, file, tmp_path):
    def say(model):
        (text,) = (p for p in model.metadata_props if p.key == KEY)
        said = json.loads(text.value)
        rates = {"sensitivity": 1.0, "specificity": 1.0, "criterion": "sensitivity >= 1"}
        said["about"]["operating_point"] = {**rates, **point} if "x" in point.values() else point
        text.value = json.dumps(said)

    with pytest.raises(ModelFileError, match=r"changed\.onnx .*its operating point is not as"):
        make_onnx_pipeline(changed(file, tmp_path, say))


def test_a_text_that_is_no_unicode_is_refused_with_the_name_of_the_file(file, tmp_path):
    path = tmp_path / "damaged.onnx"
    path.write_bytes(file.read_bytes().replace(b"format_version", b"\xff" * 14))
    with pytest.raises(ModelFileError, match=r"damaged\.onnx cannot be loaded: 'utf-8' codec"):
        make_onnx_pipeline(path)


def test_a_graph_for_one_patch_at_a_time_is_refused(file, tmp_path):
    def fix(model):
        for end in (*model.graph.input, *model.graph.output):
            end.type.tensor_type.shape.dim[0].dim_value = 1

    with pytest.raises(ModelFileError, match=r"has the ends .*\(1, 20, 20, 3\)"):
        make_onnx_pipeline(changed(file, tmp_path, fix))


def before_the_end(*nodes, **arrays):
    """Return a change of a graph that puts nodes from "whole" to "end" before its output."""

    def change(model):
        graph, end = model.graph, model.graph.output[0].name
        for node in graph.node:
            node.output[:] = ["whole" if name == end else name for name in node.output]
        for name, array in arrays.items():
            graph.initializer.append(onnx.numpy_helper.from_array(array, name))
        for node in nodes:
            node.output[:] = [end if name == "end" else name for name in node.output]
            graph.node.append(node)

    return change


def test_a_graph_that_gives_fewer_rows_than_patches_is_refused(file, tmp_path):
    above = onnx.helper.make_node("Greater", ["whole", "half"], ["above"])
    some = onnx.helper.make_node("Compress", ["whole", "picked"], ["end"], axis=0)
    positive = onnx.helper.make_node("Slice", ["above", "from", "to", "axis"], ["columns"])
    picked = onnx.helper.make_node("Squeeze", ["columns", "axis"], ["picked"])
    arrays = {
        "half": np.float32(1.5),
        "from": np.array([1]),
        "to": np.array([2]),
        "axis": np.array([1]),
    }
    change = before_the_end(above, positive, picked, some, **arrays)
    classifier = OnnxClassifier(changed(file, tmp_path, change))
    with pytest.raises(ModelFileError, match=r"gives an array of shape \(0, 2\) for 1 patches"):
        classifier.predict_proba(X[:1])


def test_a_graph_that_fails_while_it_computes_is_an_error_with_the_name_of_the_file(file, tmp_path):
    shape = onnx.helper.make_node("Shape", ["whole"], ["shape"])
    wrong = onnx.helper.make_node("Add", ["shape", "more"], ["wrong"])
    reshape = onnx.helper.make_node("Reshape", ["whole", "wrong"], ["end"])
    change = before_the_end(shape, wrong, reshape, more=np.array([1, 0]))
    classifier = OnnxClassifier(changed(file, tmp_path, change))
    with pytest.raises(ModelFileError, match=r"changed\.onnx cannot be computed"):
        classifier.predict_proba(X[:1])


def test_a_graph_cannot_read_another_file(file, tmp_path, monkeypatch):
    def name_a_file(model):
        array = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
        (tmp_path / "weights.bin").write_bytes(array.raw_data)
        onnx.external_data_helper.set_external_data(array, "weights.bin")
        array.ClearField("raw_data")

    path = changed(file, tmp_path, name_a_file)
    monkeypatch.chdir(tmp_path)  # ONNX Runtime looks there.
    with pytest.raises(ModelFileError, match=r"changed\.onnx cannot be loaded: onnxruntime"):
        OnnxClassifier(path.name).predict_proba(X)


def test_values_that_are_no_probabilities_are_refused(file, tmp_path):
    def double(model):
        end = model.graph.output[0].name
        for node in model.graph.node:
            node.output[:] = ["half" if name == end else name for name in node.output]
        two = onnx.helper.make_tensor("two", onnx.TensorProto.FLOAT, [], [4.0])
        model.graph.initializer.append(two)
        model.graph.node.append(onnx.helper.make_node("Mul", ["half", "two"], [end]))

    with pytest.raises(ValueError, match="gives values that are no probabilities, such as"):
        OnnxClassifier(changed(file, tmp_path, double)).predict_proba(X)


# --- without Keras


def test_it_predicts_without_a_deep_learning_framework(file, tmp_path):
    np.save(tmp_path / "X.npy", X)
    code = f"""
import sys
class Absent:
    names = "keras scikeras tensorflow jax torch onnx tf2onnx h5py matplotlib safetensors".split()
    def find_spec(self, name, *_):
        if name in self.names:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import numpy as np
from pcam_sklearn.export import make_onnx_pipeline
p = make_onnx_pipeline({str(file)!r}).predict_proba(np.load({str(tmp_path / "X.npy")!r}))
np.save({str(tmp_path / "p.npy")!r}, p)
"""
    run_python("-c", code)
    expected = OnnxClassifier(file).predict_proba(X)
    np.testing.assert_allclose(np.load(tmp_path / "p.npy"), expected, atol=1e-6)
