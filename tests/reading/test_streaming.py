"""More patches than memory: files read when needed, memory maps that stay on the disk."""

import copy
import pickle
import sys

import cv2
import keras
import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from support.other_process import run_python
from support.plain_tiff import plain_tiff, write_plain
from support.tiny import QUICK

from pcam_sklearn import CenterCropNormalizer, CNNClassifier, PatchReader, make_pcam_pipeline
from pcam_sklearn._training._data import Batches, TrainingSet

TINY = {**QUICK, "epochs": 2, "augment": "d4", "validation_fraction": 0.1}


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (40, 96, 96, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def paths(images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("patches")
    names = [str(folder / f"{i}.png") for i in range(len(images))]
    for name, image in zip(names, images, strict=True):
        cv2.imwrite(name, image[..., ::-1])
    return np.array(names)


@pytest.fixture(scope="module")
def y():
    return np.arange(40) % 2


@pytest.fixture(scope="module")
def fitted(images, y):
    return make_pcam_pipeline(**TINY).fit(images, y)


def test_files_left_unread_have_the_shape_and_the_pixels_of_an_array(paths, images):
    files = PatchReader(in_memory=False).transform(paths)
    assert (files.shape, files.ndim, len(files)) == (images.shape, 4, 40)
    np.testing.assert_array_equal(files, images)


@pytest.mark.parametrize("rows", [slice(3, 9), np.array([7, 1, 1]), slice(None, None, 2)])
def test_rows_of_files_are_those_of_the_array(paths, images, rows):
    files = PatchReader(in_memory=False).transform(paths)
    np.testing.assert_array_equal(files[rows], images[rows])


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize(("crop_size", "input_size"), [(32, 96), (33, 96), (96, 96), (24, 48)])
def test_the_normalizer_does_the_same_to_files_and_to_arrays(
    paths, images, dtype, crop_size, input_size
):
    normalizer = CenterCropNormalizer(crop_size, input_size, dtype)
    files = normalizer.transform(PatchReader(in_memory=False).transform(paths))
    expected = normalizer.transform(images)
    assert (files.shape, files.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_array_equal(files, expected)


def test_the_center_read_by_itself_is_the_center_of_the_array(paths, images):
    np.testing.assert_array_equal(
        PatchReader(crop_size=32).transform(paths), images[:, 32:64, 32:64]
    )


def test_a_center_read_from_plain_tiff_is_the_one_opencv_reads(tmp_path, images):
    path = tmp_path / "patch.tif"
    path.write_bytes(plain_tiff(images[0]))
    expected = cv2.imread(str(path))[32:64, 32:64, ::-1]
    np.testing.assert_array_equal(PatchReader(crop_size=32).transform([path])[0], expected)


def test_a_center_larger_than_the_files_is_refused(paths):
    with pytest.raises(ValueError, match="crop_size=97 is more than the images hold"):
        PatchReader(crop_size=97).transform(paths)


@pytest.mark.slow
def test_fit_and_predict_are_the_same_from_files_and_from_arrays(paths, images, y, fitted):
    reader = {"patchreader__in_memory": False}
    from_files = make_pcam_pipeline(**TINY).set_params(**reader).fit(paths, y)
    np.testing.assert_array_equal(from_files.predict_proba(paths), fitted.predict_proba(images))


@pytest.mark.slow
def test_training_batch_by_batch_from_files_is_the_same_as_from_memory(
    paths, images, y, monkeypatch
):
    monkeypatch.setattr("pcam_sklearn._reading._batches._TRAIN_IN_MEMORY", 0)
    files = CenterCropNormalizer(dtype="uint8").transform(
        PatchReader(in_memory=False).transform(paths)
    )
    array = CenterCropNormalizer(dtype="uint8").transform(images)
    np.testing.assert_array_equal(
        CNNClassifier(**TINY).fit(files, y).predict_proba(files),
        CNNClassifier(**TINY).fit(array, y).predict_proba(array),
    )


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="others ask for each batch")
def test_a_pass_keeps_the_order_it_began_with(images, y):
    data = TrainingSet(images[:, :1, :1], y, np.arange(40.0), np.arange(2))
    batches = Batches(data, np.arange(5, 40), batch_size=8)
    batches.shuffle(np.random.default_rng(0))
    order, seen = batches.rows, []
    for _, _, row in batches.for_keras():
        seen.append(np.asarray(row))
        batches.shuffle(np.random.default_rng(1))
    assert [len(rows) for rows in seen] == [8, 8, 8, 8, 3]
    np.testing.assert_array_equal(np.concatenate(seen), order)


@pytest.mark.slow
def test_a_file_that_goes_missing_while_predicting_is_named_with_all_the_others(paths, fitted):
    pipeline = make_pipeline(PatchReader(in_memory=False), *fitted[1:])
    broken = [*paths, "gone-1.png", "gone-2.png"]
    with pytest.raises(ValueError, match=r"2 of 42 files .*gone-1\.png \(No such.*gone-2\.png"):
        pipeline.predict_proba(broken)


def test_files_left_unread_are_indexed_by_number_and_iterated_over(paths, images):
    files = PatchReader(in_memory=False).transform(paths)
    assert np.array_equal(files[np.int64(1)], images[1])
    assert np.array_equal(files[-1], images[-1])
    assert np.array_equal(list(files), images)
    with pytest.raises(IndexError):
        files[len(images)]


@pytest.mark.parametrize("reader", [None, 33, 64])
@pytest.mark.parametrize("first", [(16, 33), (33, 96), (96, 96), (40, 50)])
def test_normalizers_one_behind_another_do_to_unread_files_what_they_do_to_arrays(
    paths, reader, first
):
    steps = CenterCropNormalizer(*first, "uint8"), CenterCropNormalizer(13, 40)
    read, unread = (
        make_pipeline(PatchReader(reader, in_memory), *steps).transform(paths)
        for in_memory in (True, False)
    )
    assert np.array_equal(np.asarray(unread), read)


def test_files_left_unread_can_be_pickled(paths, images):
    files = CenterCropNormalizer().transform(PatchReader(in_memory=False).transform(paths))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(files)), files)


@pytest.mark.slow
def test_a_progress_bar_shows_when_asked_and_only_then(images, fitted, capsys):
    fitted.predict_proba(images)
    assert capsys.readouterr().err == ""
    talking = make_pipeline(*fitted[:-1], copy.copy(fitted[-1]).set_params(predict__verbose=True))
    talking.predict_proba(images)
    assert "40/40" in capsys.readouterr().err


@pytest.mark.parametrize("in_memory", ["no", None, 2])
def test_any_other_value_of_in_memory_is_refused(in_memory):
    with pytest.raises(ValueError, match="in_memory must be True, False or 'auto'"):
        PatchReader(in_memory=in_memory).transform(["a.png"])


MEMORY = """
import resource, numpy as np, tensorflow
from pcam_sklearn import make_pcam_pipeline
from support.tiny import linear
n, shape = 42_000, (96, 96, 3)
open("sparse.bin", "wb").truncate(n * 96 * 96 * 3)
X = np.memmap("sparse.bin", dtype=np.uint8, mode="r", shape=(n, *shape))
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
before = peak()
pipeline = make_pcam_pipeline(network=linear, augment=None, epochs=1, batch_size=512,
                              validation_fraction=0, early_stopping=False)
pipeline.fit(X, np.arange(n) % 2)
pipeline.predict_proba(X)
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux alone")
def test_a_memory_map_larger_than_the_memory_it_may_take_is_trained_on(tmp_path):
    output, _ = run_python("-c", MEMORY, cwd=tmp_path)
    assert float(output) < 750, "MiB; the map holds 1,107"


@pytest.mark.parametrize("crop_size", [None, 32])
def test_a_file_that_is_cut_short_is_refused_even_if_its_center_is_there(
    tmp_path, images, crop_size
):
    path = tmp_path / "patch.tif"
    write_plain(path, images[0])
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"1 of 1 files cannot be read.*patch.tif"):
        PatchReader(crop_size=crop_size).transform([path])
