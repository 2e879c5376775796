"""Estimators as a list of plain nodes: each names those before it that it holds, by place.

A list instead of a tree: an estimator that two others hold is saved once and is one object again,
nothing can hold itself, and nothing nests.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pcam_sklearn._errors import ModelFileError
from pcam_sklearn._values import decode, encode
from pcam_sklearn.persistence._bounds import (
    MOST_DEEP,
    MOST_HELD,
    MOST_NETWORKS,
    MOST_NODES,
    Holds,
)

Node = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """A class of estimators that may be saved, and how."""

    estimator: type
    write: Callable[[Any, "Writer"], Node]
    read: Callable[[Node, "Reader"], Any]


@dataclass
class Writer:
    """The nodes and arrays of the estimators written so far, and what was left out of them."""

    kinds: dict[str, Kind]
    include_optimizer: bool = False
    nodes: list[Node] = field(default_factory=list)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    function: Any = None
    _places: dict[int, int] = field(default_factory=dict)
    _kept: list[Any] = field(default_factory=list)
    _holds: Holds = field(default_factory=Holds)
    _open: int = 0

    def add(self, estimator: Any, name: str) -> int:
        """Write an estimator that the user knows by `name`, and return its place in the list."""
        estimator = _searched(estimator, name)
        if id(estimator) not in self._places:
            self._write(estimator, name)
        place = self._places[id(estimator)]
        self._holds.note(place)
        return place

    def _write(self, estimator: Any, name: str) -> None:
        kind = self.kinds.get(type(estimator).__name__)
        if kind is None or type(estimator) is not kind.estimator:
            raise ModelFileError(
                f"{name} is a {type(estimator).__module__}.{type(estimator).__qualname__}, and a "
                f"model file holds only {', '.join(sorted(self.kinds))}; {_advice(estimator)}, or "
                "save the pipeline with joblib, whose files run code"
            )
        node = {"type": type(estimator).__name__, **self._write_inside(kind, estimator, name)}
        self.nodes.append(node)
        if len(self.nodes) > MOST_NODES or self._holds.sizes[-1] > MOST_HELD:
            raise ModelFileError(
                f"{name} holds more than the {MOST_NODES:,} estimators of a model file, or these "
                f"hold one another more than {MOST_HELD:,} times; save it with joblib"
            )
        if _n_networks(self.nodes) > MOST_NETWORKS:
            raise ModelFileError(
                f"{name} holds more than the {MOST_NETWORKS} networks of a model file; save it "
                "with joblib"
            )
        self._kept.append(estimator)  # An id stays unique while its object lives.
        self._places[id(estimator)] = len(self.nodes) - 1

    def _write_inside(self, kind: Kind, estimator: Any, name: str) -> Node:
        """Return the node of an estimator after those of all that it holds."""
        around, self._holds.now = self._holds.now, (0, 0)
        self._open += 1
        if self._open <= MOST_DEEP:  # Python's own limit must not come first.
            node = kind.write(estimator, self)
            self._holds.close()
        if self._open > MOST_DEEP or self._holds.depths[-1] > MOST_DEEP:
            raise ModelFileError(
                f"{name} stands in estimators, or holds some, that are more than {MOST_DEEP} one "
                "in another; make it flatter, or save it with joblib"
            )
        self._open -= 1
        self._holds.now = around
        return node

    def leave_out(self, owner: Any, name: str, value: Any) -> dict[str, str]:
        """Note a parameter that cannot be kept, and return what the file says about it."""
        self.left_out.append(f"{name}={value!r} of {type(owner).__name__}")
        return {"left_out": describe(value)}


@dataclass
class Reader:
    """The estimators made so far out of a file's nodes, and the file's arrays."""

    kinds: dict[str, Kind]
    arrays: dict[str, np.ndarray]
    network: Any = None
    estimators: list[Any] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    network_used: bool = False
    _holds: Holds = field(default_factory=Holds)
    _owned: set[int] = field(default_factory=set)

    def read(self, nodes: Any) -> Any:
        """Return the last estimator, which holds all others."""
        if not isinstance(nodes, list) or not 0 < len(nodes) <= MOST_NODES:
            raise ModelFileError("its list of estimators is not as the package writes it")
        if _n_networks(nodes) > MOST_NETWORKS:
            raise ModelFileError(f"it holds more than {MOST_NETWORKS} networks")
        for node in nodes:
            name = node.get("type") if isinstance(node, dict) else None
            if not isinstance(name, str) or name not in self.kinds:
                raise ModelFileError(
                    f"it names the estimator {name!r}, and a model file holds only "
                    f"{', '.join(sorted(self.kinds))}"
                )
            self.estimators.append(self.kinds[name].read(node, self))
            self._holds.close()
        alone = set(range(len(nodes) - 1)) - self._owned
        if alone:
            raise ModelFileError(
                f"its estimator {min(alone)}, a {nodes[min(alone)]['type']}, is held by no other"
            )
        unused = self.arrays.keys() - self.used
        if unused:
            raise ModelFileError(f"the array {min(unused)!r} belongs to no estimator in it")
        return self.estimators[-1]

    def held(self, place: Any, name: str) -> Any:
        """Return an estimator by its place in the list."""
        if type(place) is not int or not 0 <= place < len(self.estimators):
            raise ModelFileError(f"{name} names no estimator that stands before its owner")
        self._owned.add(place)
        held, deep = self._holds.note(place)
        if held > MOST_HELD:
            raise ModelFileError(f"its estimators hold one another more than {MOST_HELD:,} times")
        if deep >= MOST_DEEP:
            raise ModelFileError(f"its estimators are more than {MOST_DEEP} one in another")
        return self.estimators[place]

    def arrays_under(self, prefix: str) -> dict[str, np.ndarray]:
        """Return all arrays whose name begins with `prefix`, without it."""
        names = [name for name in self.arrays if name.startswith(prefix)]
        self.used.update(names)
        return {name.removeprefix(prefix): self.arrays[name] for name in names}

    def note_left_out(self, owner: str, name: str, plain: Any) -> bool:
        """Return whether the file says that it lacks a parameter, and note that."""
        if not is_left_out(plain):
            return False
        self.left_out.append(f"{name}={plain['left_out']} of {owner}")
        return True


@dataclass(frozen=True)
class Rule:
    """A condition on a value in a file, in words and as a test."""

    words: str
    test: Callable[[Any], bool]

    def check(self, value: Any, name: str) -> Any:
        """Return a value, or raise ModelFileError."""
        if not self.test(value):
            raise ModelFileError(f"{name} must be {self.words}, got {value!r:.200}")
        return value


def write_values(
    owner: Any, values: dict[str, Any], rules: dict[str, Rule] | None = None
) -> dict[str, Any]:
    """Return an estimator's learned attributes as JSON; each passes the rule for reading it."""
    kind = type(owner).__name__
    plain = {name: encode(value, f"{kind}.{name}") for name, value in values.items()}
    for name, rule in (rules or {}).items():
        if name in values:
            rule.check(values[name], f"{kind}.{name}")
    return plain


def write_parameters(
    owner: Any, rules: dict[str, Rule], writer: Writer, needed: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return parameters as JSON, without those that are not plain and not needed to predict."""
    plain = {}
    for name, value in owner.get_params(deep=False).items():
        if name in rules and _passes(rules[name], value):
            plain[name] = encode(value, f"{name} of {type(owner).__name__}")
        elif name in rules and name in needed:
            rules[name].check(value, f"{name} of {type(owner).__name__}")
        elif name in rules:
            plain[name] = writer.leave_out(owner, name, value)
    return plain


def read_parameters(node: Node, rules: dict[str, Rule], reader: Reader) -> dict[str, Any]:
    """Return parameters, each of which passes its rule."""
    owner, found = node["type"], {}
    for name, plain in part_of(node, "parameters").items():
        if name not in rules:
            raise ModelFileError(f"{owner} has no parameter {name!r:.200}")
        if not reader.note_left_out(owner, name, plain):
            value = decode(plain, f"{name} of {owner}")
            found[name] = rules[name].check(value, f"{name} of {owner}")
    return found


def read_learned(node: Node, rules: dict[str, Rule], needed: tuple[str, ...]) -> dict[str, Any]:
    """Return learned attributes, each of which passes its rule, and none of which is missing."""
    owner, found = node["type"], {}
    for name, plain in part_of(node, "learned").items():
        if name not in rules:
            raise ModelFileError(f"{owner} learns no {name!r:.200}")
        value = decode(plain, f"{owner}.{name}")
        found[name] = rules[name].check(value, f"{owner}.{name}")
    missing = [name for name in needed if name not in found]
    if missing:
        raise ModelFileError(f"{owner} lacks {missing[0]}")
    return found


def note_others(estimator: Any, writer: Writer) -> None:
    """Note attributes that are neither parameters nor learned, such as scikit-learn's callbacks."""
    for name in sorted(vars(estimator).keys() - estimator.get_params(deep=False).keys()):
        if not (name.endswith("_") and not name.startswith("_")):
            writer.leave_out(estimator, name, vars(estimator)[name])


def write_held(estimator: Any, name: str, writer: Writer) -> int | None:
    return None if estimator is None else writer.add(estimator, name)


def read_held(node: Node, name: str, reader: Reader) -> Any:
    place = node.get(name)
    return None if place is None else reader.held(place, f"{node['type']}.{name}")


def part_of(node: Node, name: str) -> dict[str, Any]:
    """Return an object in a node."""
    part = node.get(name)
    if not isinstance(part, dict):
        raise ModelFileError(f"{node['type']} has no {name!r}")
    return part


def _n_networks(nodes: list[Any]) -> int:
    return sum(isinstance(node, dict) and node.get("network") is not None for node in nodes)


def _passes(rule: Rule, value: Any) -> bool:
    try:
        encode(value, "")
    except ModelFileError:
        return False
    return rule.test(value)


def _searched(estimator: Any, name: str) -> Any:
    """Return the best estimator of a search, or the estimator itself."""
    learned = getattr(estimator, "__dict__", {})
    if "best_index_" in learned and "best_estimator_" not in learned:
        raise ModelFileError(f"{name} is a search that kept no estimator; fit it with refit=True")
    return learned.get("best_estimator_", estimator)


def _advice(estimator: Any) -> str:
    """Return advice about an estimator that a file cannot hold."""
    if hasattr(estimator, "estimator") and hasattr(estimator, "refit"):
        return (
            "fit the search by itself, and put search.best_estimator_ in its place, for instance "
            "calibrate search.best_estimator_"
        )
    return "take it out of the pipeline"


def is_left_out(plain: Any) -> bool:
    """Return whether JSON is what `Writer.leave_out` returned."""
    return isinstance(plain, dict) and plain.keys() == {"left_out"}


def describe(value: Any) -> str:
    """Return a name for a value that does not differ from process to process."""
    if isinstance(value, functools.partial):
        given = [f"{len(value.args)} values"] * bool(value.args) + sorted(value.keywords)
        return f"partial of {describe(value.func)} with {', '.join(given)}"
    kind = value if hasattr(value, "__qualname__") else type(value)
    return f"{kind.__module__}.{kind.__qualname__}"
