"""Biases that keep the mean of each channel when the weights are rounded to 8 bits."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra onnx")

from pcam_sklearn.export._biases import correct_biases, fill_dead_filters  # noqa: E402

make_node, make_value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
GENERATOR = np.random.default_rng(0)
X = (
    GENERATOR.random((8, 6, 12, 12), dtype=np.float32)
    + np.arange(6, dtype=np.float32)[:, None, None]
)


def graph_of(weights, *biases, groups=1, sides=(12, 12)):
    """Return a graph of a convolution for each bias, which share their weights."""
    arrays = {"w": weights} | {f"b{i}": b for i, b in enumerate(biases) if b is not None}
    nodes = [
        make_node(
            "Conv", ["x", "w", f"b{i}"][: 2 + (bias is not None)], [f"y{i}"], f"n{i}", group=groups
        )
        for i, bias in enumerate(biases)
    ]
    numbers = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes,
        "convolutions",
        [make_value("x", numbers, ["n", 6, *sides])],
        [make_value(f"y{i}", numbers, None) for i in range(len(biases))],
        [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    return onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8
    )


def means_of(model):
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return [y.mean(axis=(0, 2, 3)) for y in session.run(None, {"x": X})]


def with_rounded_weights(model):
    """Return a copy of a graph whose weights have 127 steps up to the largest of their filter."""
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    tensor = next(t for t in copied.graph.initializer if t.name == "w")
    weights = onnx.numpy_helper.to_array(tensor)
    rounded = []
    for of_filter in weights:
        step = abs(of_filter).max() / 127 or 1.0
        rounded.append(np.rint(of_filter / step) * step)
    tensor.CopyFrom(onnx.numpy_helper.from_array(np.array(rounded, np.float32), "w"))
    return copied


def assert_same_means_after_rounding(model):
    expected = means_of(model)
    before = means_of(with_rounded_weights(model))
    correct_biases(model, [{"x": X[:3]}, {"x": X[3:]}], [])
    names = {name for node in model.graph.node for name in node.input}
    assert {tensor.name for tensor in model.graph.initializer} == names - {"x"}
    after = means_of(with_rounded_weights(model))
    for wanted, unaided, found in zip(expected, before, after, strict=True):
        # Means of inputs leave out where a border is read, so something small remains.
        assert abs(found - wanted).max() < 0.2 * abs(unaided - wanted).max()


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("bias", [np.ones(12, np.float32), None], ids=["a bias", "no bias"])
def test_the_mean_of_each_channel_stays(groups, bias):
    weights = GENERATOR.normal(size=(12, 6 // groups, 3, 3)).astype(np.float32)
    assert_same_means_after_rounding(graph_of(weights, bias, groups=groups))


def test_two_layers_with_the_same_weights_keep_their_own_biases():
    weights = GENERATOR.normal(size=(4, 6, 1, 1)).astype(np.float32)
    assert_same_means_after_rounding(
        graph_of(weights, np.zeros(4, np.float32), np.full(4, 3, np.float32))
    )


def test_a_filter_of_zeros_changes_nothing():
    weights = np.zeros((4, 6, 1, 1), np.float32)
    model = graph_of(weights, np.full(4, 3, np.float32))
    correct_biases(model, [{"x": X}], [])
    np.testing.assert_array_equal(means_of(model)[0], np.full(4, 3))


def test_a_bias_that_the_graph_computes_stays():
    weights = GENERATOR.normal(size=(4, 6, 1, 1)).astype(np.float32)
    model = graph_of(weights, np.ones(4, np.float32))
    model.graph.node.insert(0, make_node("Neg", ["b0"], ["computed"]))
    model.graph.node[1].input[2] = "computed"
    before = model.SerializeToString()
    correct_biases(model, [{"x": X}], [])
    assert model.SerializeToString() == before


def test_convolutions_over_one_axis_are_corrected_too():
    weights = GENERATOR.normal(size=(4, 6, 3)).astype(np.float32)
    model = graph_of(weights, None, sides=[144])
    flat = X.reshape(8, 6, 144)
    bias = np.zeros(4)
    for of_filter, i in zip(weights, range(4), strict=True):
        step = abs(of_filter).max() / 127
        bias[i] = -((np.rint(of_filter / step) * step - of_filter).sum(1) * flat.mean((0, 2))).sum()
    correct_biases(model, [{"x": flat}], [])
    found = onnx.numpy_helper.to_array(model.graph.initializer[-1])
    np.testing.assert_allclose(found, bias, atol=1e-5)


def test_a_layer_that_stays_in_32_bits_keeps_its_bias():
    weights = GENERATOR.normal(size=(4, 6, 1, 1)).astype(np.float32)
    model = graph_of(weights, np.ones(4, np.float32))
    before = model.SerializeToString()
    correct_biases(model, [{"x": X}], ["n0"])
    assert model.SerializeToString() == before


@pytest.mark.parametrize("in_rows", [0, 1])
def test_a_unit_of_zeros_gets_a_tiny_weight_of_its_own(in_rows):
    weights = GENERATOR.normal(size=(3, 5)).astype(np.float32)
    weights[1] = 0
    held = weights if in_rows else weights.T
    graph = onnx.helper.make_graph(
        [
            make_node("Gemm", ["x", "w"], ["y"], "rounded", transB=in_rows),
            make_node("Gemm", ["x", "w"], ["z"], "exact", transB=in_rows),
        ],
        "units",
        [make_value("x", onnx.TensorProto.FLOAT, ["n", 5])],
        [make_value(name, onnx.TensorProto.FLOAT, None) for name in "yz"],
        [onnx.numpy_helper.from_array(np.ascontiguousarray(held), "w")],
    )
    fill_dead_filters(graph, ["exact"])
    arrays = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    found, kept = (arrays[node.input[1]] for node in graph.node)
    np.testing.assert_array_equal(kept, held)
    found = found if in_rows else found.T
    np.testing.assert_array_equal(found[[0, 2]], weights[[0, 2]])
    assert 0 < abs(found[1]).max() < 0.002 * abs(weights).max()
