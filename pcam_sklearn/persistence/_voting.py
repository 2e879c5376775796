"""Classifiers that vote as nodes: the members, and the weights of their votes."""

import math
from typing import Any

import numpy as np
from sklearn.ensemble import VotingClassifier
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import Bunch

from pcam_sklearn._errors import ModelFileError
from pcam_sklearn.persistence._nodes import (
    Kind,
    Node,
    Reader,
    Rule,
    Writer,
    note_others,
    read_learned,
    read_parameters,
    write_parameters,
    write_values,
)
from pcam_sklearn.persistence._rules import ARRAY_1D, CLASSES, FINITE, FLAG, INDEX, N_JOBS, one_of

Members = list[tuple[str, Any]]


def _are_weights(value: Any) -> bool:
    several = isinstance(value, (list, tuple)) or ARRAY_1D.test(value)
    return several and all(FINITE.test(weight) and weight >= 0 for weight in value)


_VOTING = {
    "voting": one_of("hard", "soft"),
    "weights": Rule("None or finite numbers of at least 0", lambda v: v is None or _are_weights(v)),
    "n_jobs": N_JOBS,
    "flatten_transform": FLAG,
    "verbose": Rule("a flag or a whole number", lambda v: FLAG.test(v) or INDEX.test(v)),
}
_NEEDED = ("voting", "weights", "flatten_transform")
_TAKEN = {"estimators", *_VOTING}
_CODES = [0, 1]  # VotingClassifier.fit trains its members on these instead of the labels.


def _write_voting(voting: VotingClassifier, writer: Writer) -> Node:
    node: Node = {
        "parameters": write_parameters(voting, _VOTING, writer, _NEEDED),
        "estimators": _write_members(voting.estimators, writer),
        "fitted": None,
        "learned": {},
    }
    if hasattr(voting, "estimators_"):
        named = getattr(voting, "named_estimators_", {})
        if list(map(id, _voters(list(named.items())))) != list(map(id, voting.estimators_)):
            raise ModelFileError(
                "estimators_ of a VotingClassifier are not those that its fit has named; to let "
                "fitted estimators vote, type VotingClassifier([(name, FrozenEstimator(fitted)), "
                "...]).fit(X, y), which trains none of them"
            )
        node["learned"] = write_values(voting, {"classes_": voting.classes_})
        _require_votes(voting)
        node["fitted"] = _write_members(list(named.items()), writer)
    note_others(voting, writer)
    return node


def _write_members(members: Members, writer: Writer) -> list[list[Any]]:
    return [
        [name, member if member == "drop" else writer.add(member, f"the member {name!r}")]
        for name, member in members
    ]


def _read_voting(node: Node, reader: Reader) -> VotingClassifier:
    members = _read_members(node.get("estimators"), reader)
    voting = VotingClassifier(members, **read_parameters(node, _VOTING, reader))
    if node.get("fitted") is not None:
        fitted = _read_members(node["fitted"], reader)
        named, encoder = Bunch(), LabelEncoder()
        named.update(fitted)
        encoder.classes_ = read_learned(node, {"classes_": CLASSES}, ("classes_",))["classes_"]
        vars(voting).update(
            estimators_=_voters(fitted),
            named_estimators_=named,
            le_=encoder,
            classes_=encoder.classes_,
        )
        _require_votes(voting)
    return voting


def _read_members(plain: Any, reader: Reader) -> Members:
    members: Members = []
    for item in plain if isinstance(plain, list) else ():
        match item:
            case [str(name), "drop"]:
                members.append((name, "drop"))
            case [str(name), place]:
                members.append((name, reader.held(place, f"the member {name!r:.200}")))
            case _:
                raise ModelFileError("a member of a VotingClassifier is not as it is written")
    names = [name for name, _ in members]
    if not names or len(set(names)) < len(names) or any("__" in n or n in _TAKEN for n in names):
        raise ModelFileError("the names of a VotingClassifier's members are not allowed")
    return members


def _voters(members: Members) -> list[Any]:
    return [member for _, member in members if not isinstance(member, str)]


def _require_votes(voting: VotingClassifier) -> None:
    """Raise ModelFileError if the votes of a fitted classifier cannot be counted."""
    CLASSES.check(voting.classes_, "VotingClassifier.classes_")
    if not voting.estimators_:
        raise ModelFileError("a VotingClassifier has no member that votes")
    soft = voting.voting == "soft"
    # A frozen member was trained on labels. A hard vote counts codes, up to the largest of them.
    allowed = [_CODES, voting.classes_.tolist()] if soft else [_CODES]
    method = "predict_proba" if soft else "predict"
    for name, member in voting.named_estimators_.items():
        if isinstance(member, str):
            continue
        classes = np.asarray(getattr(member, "classes_", ())).tolist()
        if not hasattr(member, method) or classes not in allowed:
            raise ModelFileError(
                f"the member {name!r:.200} has no {method} for the classes "
                f"{' or '.join(map(str, allowed))}, which a {voting.voting} vote needs"
            )
    _require_weights(voting)


def _require_weights(voting: VotingClassifier) -> None:
    if voting.weights is None:
        return
    pairs = zip(voting.estimators, voting.weights, strict=False)
    kept = [float(weight) for (_, member), weight in pairs if not isinstance(member, str)]
    found, wanted = (voting.weights, kept), (voting.estimators, voting.estimators_)
    if list(map(len, found)) != list(map(len, wanted)) or not 0 < sum(kept) < math.inf:
        raise ModelFileError(
            f"weights={voting.weights!r:.200} of a VotingClassifier must be one for each member, "
            "of which one is above 0; after members were dropped or added, fit it again"
        )


VOTING = Kind(VotingClassifier, _write_voting, _read_voting)
