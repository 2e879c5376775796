"""CNNClassifier from and to a node."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pcam_sklearn._errors import ModelFileError
from pcam_sklearn._training._blueprint import Blueprint
from pcam_sklearn._training._layers import hash_layers
from pcam_sklearn._training._scikeras import ROUTES
from pcam_sklearn._training._weights import named_values
from pcam_sklearn._values import decode, encode
from pcam_sklearn.augmentation._views import check_test_time_augmentation
from pcam_sklearn.classifier import CNNClassifier
from pcam_sklearn.networks import NETWORKS
from pcam_sklearn.persistence._keras_parts import decode_part, encode_part
from pcam_sklearn.persistence._networks import require_rebuilt, trainer_from_plain
from pcam_sklearn.persistence._nodes import (
    Kind,
    Node,
    Reader,
    Rule,
    Writer,
    describe,
    is_left_out,
    part_of,
    read_learned,
    write_values,
)
from pcam_sklearn.persistence._probes import check_probe, probe
from pcam_sklearn.persistence._rules import (
    ARRAY_1D_OR_NONE,
    CLASSES,
    COUNT,
    FLAG,
    INDEX,
    NAMES,
    PLAIN,
    SEED,
    SIMPLE,
    is_word,
    one_of,
)

_PARTS = ("optimizer", "loss", "metrics", "callbacks")
_POLICIES = ("float32", "float64", "mixed_bfloat16", "mixed_float16")
_BUILT_FROM = ("parameters", "input_shape", "dtype_policy", "seed")


def _is_history(value: Any) -> bool:
    lists = isinstance(value, dict) and all(isinstance(k, str) for k in value)
    return lists and all(isinstance(v, list) and all(map(_is_value, v)) for v in value.values())


def _is_value(value: Any) -> bool:
    """Return True for a number, and for the numbers of a metric that has several."""
    numbers = value if isinstance(value, list) else [value]
    return all(isinstance(number, (int, float, np.number)) for number in numbers)


def _is_shape(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 4 and all(map(INDEX.test, value))


_LEARNED = {
    "classes_": CLASSES,
    "n_classes_": COUNT,
    "groups_": ARRAY_1D_OR_NONE,
    "groups_complete_": FLAG,
    "history_": Rule("lists of numbers by name", _is_history),
    "n_iter_": INDEX,
    "best_epoch_": INDEX,
    "X_shape_": Rule("four whole numbers", _is_shape),
    "n_features_in_": INDEX,
}
_NEEDED = ("classes_", "X_shape_")
_CLASS_WEIGHT = Rule(
    "a dict of weights by label, 'balanced' or None",
    lambda v: (
        is_word(v, None, "balanced") or (isinstance(v, dict) and PLAIN.test(list(v.values())))
    ),
)
_WEIGHTS = Rule("None, 'imagenet' or 'pcam'", lambda v: is_word(v, None, "imagenet", "pcam"))
_RULES = {
    **dict.fromkeys(CNNClassifier._get_param_names(), SIMPLE),
    "filters": PLAIN,
    "augment": NAMES,
    "class_weight": _CLASS_WEIGHT,
    "random_state": SEED,
    "model__weights": _WEIGHTS,
}


def write_classifier(classifier: CNNClassifier, writer: Writer) -> Node:
    """Return a classifier as a node, and put its arrays into the writer."""
    parameters = classifier.get_params(deep=False)
    node: Node = {"parameters": _write_parameters(classifier, parameters, writer)}
    learned = {
        name: value
        for name, value in vars(classifier).items()
        if name not in parameters and name not in ("model_", "trainer_")
    }
    for name in sorted(learned.keys() - _LEARNED.keys()):
        writer.leave_out(classifier, name, learned.pop(name))
    node["learned"] = write_values(classifier, learned, _LEARNED)
    node["network"] = None
    if hasattr(classifier, "trainer_"):
        node["network"] = _write_network(classifier, writer)
    return node


def read_classifier(node: Node, reader: Reader) -> CNNClassifier:
    """Return the classifier of a node."""
    parameters = _read_parameters(part_of(node, "parameters"), reader)
    classifier = CNNClassifier(**parameters)
    classifier._check_parameters()
    if node.get("network") is None:
        return classifier
    learned = read_learned(node, _LEARNED, _NEEDED)
    learned.setdefault("groups_complete_", learned.get("groups_") is not None)
    check_test_time_augmentation(classifier.test_time_augmentation, learned["X_shape_"])
    plain = part_of(node, "network")
    blueprint = _read_blueprint(part_of(plain | {"type": node["type"]}, "built_from"), reader)
    if blueprint.input_shape != learned["X_shape_"][1:]:
        raise ModelFileError("its network is built for patches of another shape than it learned")
    prefix = f"{len(reader.estimators)}/"
    optimizer = reader.arrays_under(f"{prefix}optimizer/")
    weights = reader.arrays_under(f"{prefix}network/")
    trainer = trainer_from_plain(blueprint, weights, optimizer or None, plain.get("layers", ""))
    if callable(blueprint.parameters["network"]):
        check_probe(plain.get("probabilities"), trainer, weights)
    classifier.__dict__.update(learned, trainer_=trainer, model_=trainer.network)
    return classifier


CLASSIFIER = Kind(CNNClassifier, write_classifier, read_classifier)


def _write_network(classifier: CNNClassifier, writer: Writer) -> Node:
    """Return the blueprint of a network as JSON, and name its arrays after its place."""
    trainer, prefix = classifier.trainer_, f"{len(writer.nodes)}/"
    blueprint, optimizer = trainer.blueprint, trainer.network.optimizer
    require_rebuilt(blueprint, trainer.network)
    silent = Writer(writer.kinds, function=writer.function)
    parameters = _write_parameters(classifier, blueprint.parameters, silent)
    arrays = {f"network/{k}": v for k, v in named_values(trainer.network.variables).items()}
    left_out = is_left_out(parameters["optimizer"])
    if writer.include_optimizer and optimizer is not None and not left_out:
        arrays |= {f"optimizer/{k}": v for k, v in named_values(optimizer.variables).items()}
    writer.arrays.update({prefix + name: array for name, array in arrays.items()})
    is_own = callable(blueprint.parameters["network"])
    return {
        "built_from": {
            "parameters": parameters,
            "input_shape": list(map(int, blueprint.input_shape)),
            "dtype_policy": one_of(*_POLICIES).check(blueprint.dtype_policy, "dtype_policy"),
            "seed": int(blueprint.seed),
        },
        "layers": hash_layers(trainer.network),
        **({"probabilities": probe(trainer)} if is_own else {}),
    }


def _write_parameters(
    classifier: CNNClassifier, parameters: Mapping[str, Any], writer: Writer
) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for name, value in parameters.items():
        route, _, rest = name.partition("__")
        if rest and is_left_out(plain.get(route)):
            plain[name] = writer.leave_out(classifier, name, value)
        elif name == "network" and callable(value):
            plain[name] = _write_function(value, writer)
        elif name in _PARTS:
            part = _write_part(name, value)
            plain[name] = writer.leave_out(classifier, name, value) if part is None else part
        else:
            plain[name] = _write_plain(classifier, name, value, writer)
    return plain


def _write_plain(classifier: CNNClassifier, name: str, value: Any, writer: Writer) -> Any:
    """Return a parameter that is plain data; one that the network is built from must be."""
    rule = _RULES.get(name, PLAIN)
    try:
        if rule.test(value):
            return encode(value, name)
    except ModelFileError:
        pass  # It is said below, as for any other value that the rule refuses.
    if name.startswith("model__") and name != "model__weights":
        raise ModelFileError(
            f"{name}={value!r} is needed to build the network again, and a model file holds only "
            f"{rule.words}; pass numbers and text, and let the network's function make of them "
            "what it needs"
        )
    return writer.leave_out(classifier, name, value)


def _write_function(function: Any, writer: Writer) -> dict[str, str]:
    if writer.function not in (None, function):
        raise ModelFileError(
            "it has networks of two functions of the user's own, and load_model takes one; make "
            "one function of them, with a hyper-parameter"
        )
    writer.function = function
    return {"function": describe(function)}


def _write_part(name: str, value: Any) -> Any:
    """Return an optimizer, a loss or metrics as JSON, or None for what a file cannot hold."""
    if value is None or isinstance(value, str):
        return {"value": value}
    if name == "callbacks":
        return None
    if isinstance(value, (list, tuple)):
        items = [item if isinstance(item, str) else encode_part(item) for item in value]
        kind = "tuple" if isinstance(value, tuple) else "list"
        return None if None in items or name != "metrics" else {kind: items}
    return encode_part(value)


def _read_parameters(plain: dict[str, Any], reader: Reader) -> dict[str, Any]:
    found = {}
    for name, value in plain.items():
        if name not in CNNClassifier._get_param_names() and name.partition("__")[0] not in ROUTES:
            raise ModelFileError(f"CNNClassifier has no parameter {name!r:.200}")
        if reader.note_left_out("CNNClassifier", name, value):
            continue
        if name == "network":
            found[name] = _read_network_name(value, reader)
        elif name in _PARTS:
            found[name] = _read_part(name, value)
        else:
            found[name] = _RULES.get(name, PLAIN).check(decode(value, name), name)
    return found


def _read_network_name(plain: Any, reader: Reader) -> Any:
    if isinstance(plain, str) and plain in NETWORKS:
        return plain
    if not isinstance(plain, dict) or plain.keys() != {"function"}:
        raise ModelFileError(f"network must be one of {sorted(NETWORKS)}, got {plain!r:.200}")
    if reader.network is None:
        raise ModelFileError(
            f"its network is the user's own, built by {plain['function']!r:.200}; import that "
            "function and type load_model(path, network=function)"
        )
    reader.network_used = True
    return reader.network


def _read_part(name: str, plain: Any) -> Any:
    match plain:
        case {"value": None | str()} if len(plain) == 1:
            return plain["value"]
        case {"list": list(items)} if len(plain) == 1 and name == "metrics":
            return list(map(_read_metric, items))
        case {"tuple": list(items)} if len(plain) == 1 and name == "metrics":
            return tuple(map(_read_metric, items))
        case {"keras": _} if name != "callbacks":
            return decode_part(plain)
    raise ModelFileError(f"{name} is not as the package writes it")


def _read_metric(plain: Any) -> Any:
    if isinstance(plain, str):
        return plain
    return decode_part(plain if isinstance(plain, dict) else {})


def _read_blueprint(plain: dict[str, Any], reader: Reader) -> Blueprint:
    if plain.keys() != set(_BUILT_FROM):
        raise ModelFileError("what its network was built from is not as the package writes it")
    silent = Reader(reader.kinds, {}, reader.network)
    parameters = _read_parameters(part_of(plain | {"type": "a network"}, "parameters"), silent)
    parameters.setdefault("network", CNNClassifier().network)
    shape, seed = plain["input_shape"], SEED.check(plain["seed"], "seed")
    policy = one_of(*_POLICIES).check(plain["dtype_policy"], "dtype_policy")
    if not isinstance(shape, list):
        raise ModelFileError("the shape of its patches is no list")
    return Blueprint(parameters, tuple(shape), policy, seed or 0)
