"""The files in a model file that people read: the model card and the requirements."""

import json
import math
from collections.abc import Mapping
from typing import Any

from pcam_sklearn._errors import ModelFileError
from pcam_sklearn._markdown import escape_markdown
from pcam_sklearn.persistence._metadata import point_from_plain

_TITLE = "Tumour tissue in histology patches"
_TAGS = ("pcam-sklearn", "scikit-learn", "keras", "histopathology", "medical", "safetensors")
_NOT_KNOWN = """\
Research and teaching only. This is not a medical device: it has not been approved for diagnosis,
and no decision about a patient may rest on it.

No evaluation was saved with this model. How well it works, on which patches it was trained and
what it fails on are **not known** from this file. Measure it on slides of your own before use.
"""
_USAGE = """\
## Load

```python
from pcam_sklearn.persistence import load_model

pipeline = load_model("model.pcam")
probabilities = pipeline.predict_proba(patches)[:, 1]
```

The file holds parameters and arrays. Loading it runs no code that comes with it.
"""


def write_requirements(versions: Mapping[str, str]) -> bytes:
    """Return the packages that wrote the model, as pip reads them."""
    packages = {name: v for name, v in versions.items() if name != "python"}
    lines = [f"# Python {versions['python']}", *(f"{n}=={v}" for n, v in packages.items())]
    return ("\n".join(lines) + "\n").encode()


def write_card(estimator: Any, metadata: Mapping[str, Any], plain: Mapping[str, Any]) -> bytes:
    """Return the model card in Markdown, with the header that model hubs read."""
    title = metadata.get("title", _TITLE)
    header = _header(title, metadata.get("license", "unknown"), plain["metrics"])
    text = "\n".join([header, _body(estimator, title, metadata, plain), _USAGE])
    return text.encode(errors="backslashreplace")  # A title may be no valid text.


def _header(title: str, licence: str, metrics: Mapping[str, Any] | None) -> str:
    """Return the YAML; every value is JSON, which YAML includes."""
    if not isinstance(title, str) or not isinstance(licence, str):
        raise ModelFileError("metadata['title'] and metadata['license'] must be text")
    lines = [
        f"license: {json.dumps(licence)}",
        "library_name: sklearn",
        f"tags: {json.dumps(_TAGS)}",
        "pipeline_tag: image-classification",
    ]
    if metrics is not None:
        lines += ["metrics: [roc_auc, brier_score]", f"model-index: {_index(title, metrics)}"]
    return "\n".join(["---", *lines, "---", ""])


def _index(title: str, metrics: Mapping[str, Any]) -> str:
    """Return the results as a hub lists them beside a model."""
    try:
        auc, brier = (
            dict(metrics[name]["dict"])["estimate"] for name in ("ROC AUC", "Brier score")
        )
        data = metrics["measured on"]
    except (KeyError, TypeError, ValueError):
        raise ModelFileError(
            "metadata['metrics'] are not those that read_metadata returns; pass "
            "metadata={'evaluation': evaluation}, and other figures by another name"
        ) from None
    result = {
        "task": {"type": "image-classification"},
        "dataset": {"type": "histology-patches", "name": data},
        "metrics": [
            {"type": "roc_auc", "value": auc},
            {"type": "brier_score", "value": brier},
        ],
    }
    return json.dumps([{"name": title, "results": [result]}])


def _body(estimator: Any, title: str, metadata: Mapping[str, Any], plain: Mapping[str, Any]) -> str:
    evaluation = metadata.get("evaluation")
    point = _describe_point(point_from_plain(plain["operating_point"]))
    if evaluation is None:
        return f"# {escape_markdown(title)}\n\n{_NOT_KNOWN}\n{escape_markdown(point)}\n"
    from pcam_sklearn.report import ModelCard, model_card

    data = metadata.get("data") or {}
    if plain["data_sha256"]:
        data = {**data, "SHA-256 of the training patches": plain["data_sha256"]}
    card = model_card(estimator, evaluation, title=title, data=data, split=metadata.get("split"))
    pictures = {id(picture) for picture in card.pictures}
    for section in card.sections:
        # A threshold may come without one of the evaluation, which was chosen on its patches.
        if section.heading == "Operating point" and not evaluation.operating_point and point:
            section.blocks[:] = [point]
        section.blocks[:] = [block for block in section.blocks if id(block) not in pictures]
    return ModelCard(title, card.sections).to_markdown()


def _describe_point(point: Mapping[str, Any] | None) -> str:
    if point is None:
        return ""
    threshold = point["threshold"]
    called = f"a probability of at least {threshold} is" if threshold < math.inf else "none is"
    return (
        f"Frozen operating point: {called} positive ({point['criterion']}). What it reaches on "
        "other patches is not known."
    )
