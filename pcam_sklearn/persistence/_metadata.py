"""Facts that a user states about a model: evaluation, operating point, data, licence."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from pcam_sklearn._errors import ModelFileError
from pcam_sklearn._values import as_python, decode, encode

_SHA256 = re.compile(r"[0-9a-f]{64}")
_RATES = ("threshold", "sensitivity", "specificity", "criterion")


def metadata_to_plain(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of the manifest that the user's metadata fills."""
    rest = dict(_require_facts(metadata, "metadata", "{'author': 'A. Smith'}"))
    evaluation = _require_evaluation(rest.pop("evaluation", None))
    point = rest.pop("operating_point", getattr(evaluation, "operating_point", None))
    sha256 = rest.pop("data_sha256", None)
    # Metadata that were read from a file may be written again. The versions are those of now.
    metrics, _ = rest.pop("metrics", None), rest.pop("versions", None)
    if not all(isinstance(name, str) for name in rest):
        raise ModelFileError("the names in metadata must be text")
    if sha256 is not None and not (isinstance(sha256, str) and _SHA256.fullmatch(sha256)):
        raise ModelFileError(
            f"metadata['data_sha256']={sha256!r} is no SHA-256; pass "
            "pcam_sklearn.report.hash_patches(X_train)"
        )
    if metadata.get("data") is not None:
        _require_facts(metadata["data"], "metadata['data']", "{'Patches': 'Kaggle'}")
    return {
        "operating_point": _point_to_plain(point),
        "data_sha256": sha256,
        "metrics": _metrics_to_plain(evaluation) if evaluation is not None else _encode(metrics),
        "metadata": {name: _encode_fact(name, value) for name, value in rest.items()},
    }


def _require_facts(given: Any, name: str, example: str) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise ModelFileError(
            f"{name}={given!r:.200} must be a dict of facts by name, such as {example}"
        )
    return given


def _require_evaluation(given: Any) -> Any:
    from pcam_sklearn.report import Evaluation

    if given is not None and not isinstance(given, Evaluation):
        raise ModelFileError(
            f"metadata['evaluation']={given!r:.200} is none; pass the result of "
            "pcam_sklearn.report.evaluate"
        )
    return given


def _encode_fact(name: str, value: Any) -> Any:
    try:
        return encode(value, f"metadata[{name!r}]")
    except RecursionError:
        raise ModelFileError(f"metadata[{name!r}] nests too deeply, or holds itself") from None


def metadata_from_plain(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata of a file as plain values."""
    names = ("operating_point", "metrics", "data_sha256", "metadata")
    point, metrics, sha256, facts = (manifest[name] for name in names)
    is_hash = sha256 is None or (isinstance(sha256, str) and _SHA256.fullmatch(sha256))
    parts = [facts, *(part for part in (point, metrics) if part is not None)]
    if not is_hash or not all(isinstance(part, dict) for part in parts):
        raise ModelFileError("its metadata are not as the package writes them")
    found = {name: decode(value, name) for name, value in facts.items()}
    measured = None if metrics is None else {n: decode(value, n) for n, value in metrics.items()}
    return {
        **found,
        "data_sha256": sha256,
        "operating_point": point_from_plain(point),
        "metrics": measured,
        "versions": manifest["versions"],
    }


def _point_to_plain(point: Any) -> dict[str, Any] | None:
    if point is None:
        return None
    is_instance = dataclasses.is_dataclass(point) and not isinstance(point, type)
    values = dataclasses.asdict(point) if is_instance else point
    if not isinstance(values, Mapping) or set(values) != set(_RATES):
        raise ModelFileError(
            f"metadata['operating_point']={point!r} is none; pass the result of "
            "pcam_sklearn.metrics.choose_operating_point"
        )
    return {name: encode(as_python(values[name]), name) for name in _RATES}


def point_from_plain(plain: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if plain is None:
        return None
    point = {name: decode(value, name) for name, value in plain.items()}
    *rates, criterion = map(point.get, _RATES)
    numbers = all(isinstance(rate, (int, float)) for rate in rates)
    if set(point) != set(_RATES) or not numbers or not isinstance(criterion, str):
        raise ModelFileError("its operating point is not as the package writes it")
    return point


def _encode(metrics: Any) -> dict[str, Any] | None:
    if metrics is None:
        return None
    if not isinstance(metrics, Mapping) or not all(isinstance(name, str) for name in metrics):
        raise ModelFileError(
            f"metadata['metrics']={metrics!r:.200} must be a dict of values by name"
        )
    return {
        name: encode(value, f"metadata['metrics'][{name!r}]") for name, value in metrics.items()
    }


def _metrics_to_plain(evaluation: Any) -> dict[str, Any]:
    """Return estimate and interval of each metric of an evaluation."""
    table = evaluation.metrics_table()
    rows = {str(name): dict(row) for name, row in table.iterrows()}
    measured = {
        name: encode({str(k): float(v) for k, v in row.items()}, name) for name, row in rows.items()
    }
    return {
        "measured on": encode(evaluation.name, "name"),
        "confidence": encode(float(evaluation.auc.confidence), "confidence"),
        "data_sha256": encode(evaluation.data_sha256, "data_sha256"),
        **measured,
    }
