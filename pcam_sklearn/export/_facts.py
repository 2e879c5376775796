"""The facts about a model, as text in its ONNX file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pcam_sklearn._errors import ModelFileError
from pcam_sklearn._values import check_values, decode, encode
from pcam_sklearn.persistence._metadata import metadata_from_plain

INPUT, OUTPUT = "patches", "probabilities"
KEY = "pcam_sklearn"  # The name of the text in the file.
FORMAT_VERSION = 1
NOTICE = "Research software, not a medical device."


@dataclass(frozen=True)
class Facts:
    """Facts that are needed to predict, and others about the model.

    `patch_shape` is that of the input. `reader_crop_size` is the center that files are cut to
    before, and `resizes` whether patches of another size are resized then. `threshold` is the
    probability from which on the pipeline predicts the label `above`; None stands for the more
    probable label. `about` holds the parts of the metadata.
    """

    classes: np.ndarray
    patch_shape: tuple[int, int, int]
    reader_crop_size: int | None = None
    resizes: bool = False
    threshold: float | None = None
    above: Any = None
    slides: np.ndarray | None = None
    slides_complete: bool = False
    quantize: str | None = None
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata as `persistence.read_metadata` returns them."""
        return metadata_from_plain(self.about)


def to_text(facts: Facts) -> str:
    """Return the facts as JSON."""
    plain = {
        "notice": NOTICE,
        "format_version": FORMAT_VERSION,
        "classes": encode(facts.classes, "classes_"),
        "patch_shape": [int(n) for n in facts.patch_shape],
        "reader_crop_size": encode(facts.reader_crop_size, "crop_size of PatchReader"),
        "resizes": facts.resizes,
        "threshold": encode(facts.threshold, "the threshold"),
        "above": encode(facts.above, "the positive label"),
        "slides": encode(facts.slides, "groups_"),
        "slides_complete": facts.slides_complete,
        "quantize": facts.quantize,
        "about": facts.about,
    }
    check_values(plain, "what is said about the model")
    return json.dumps(plain, allow_nan=False)


def from_text(text: str | None) -> Facts:
    """Return the facts, or raise ModelFileError if `to_text` did not write the text."""
    if text is None:
        raise ModelFileError(
            "it says nothing about its classes; write it with pcam_sklearn.export.export_onnx"
        )
    try:
        plain = json.loads(text)
        check_values(plain, "what it says about its model")
        if type(plain["format_version"]) is not int or plain["format_version"] < 1:
            raise ModelFileError(f"it has no format version, got {plain['format_version']!r:.50}")
        if plain["format_version"] > FORMAT_VERSION:
            raise ModelFileError(
                f"its format has version {plain['format_version']!r:.50}, and this package reads "
                f"up to {FORMAT_VERSION}; install a newer one: type git pull and pip install . in "
                "a clone of its repository"
            )
        facts = _facts_of(plain)
    except ModelFileError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ModelFileError(
            f"what it says about its model is damaged: {type(error).__name__}: {error}"
        ) from error
    _check(facts)
    return facts


def _facts_of(plain: Mapping[str, Any]) -> Facts:
    names = ("classes", "reader_crop_size", "resizes", "threshold", "above", "slides")
    found = {name: decode(plain[name], name) for name in names}
    # The first files of this version did not tell.
    found["slides_complete"] = plain.get("slides_complete", found["slides"] is not None)
    shape = tuple(plain["patch_shape"])
    facts = Facts(patch_shape=shape, quantize=plain["quantize"], about=plain["about"], **found)
    facts.metadata  # noqa: B018 -- raises for metadata that cannot be read.
    return facts


def _check(facts: Facts) -> None:
    """Raise ModelFileError for facts that cannot be those of a classifier of patches."""
    classes, shape, crop = facts.classes, facts.patch_shape, facts.reader_crop_size
    sound = (
        isinstance(classes, np.ndarray)
        and classes.shape == (2,)
        and classes[0] != classes[1]
        and len(shape) == 3
        and all(type(n) is int and n > 0 for n in shape)
        and (crop is None or (type(crop) is int and crop > 0))
        and isinstance(facts.resizes, bool)
        and isinstance(facts.slides_complete, bool)
        and (facts.threshold is None or _is_rule(facts.threshold, facts.above, classes))
        and (facts.slides is None or isinstance(facts.slides, np.ndarray))
        and (facts.slides is None or facts.slides.ndim == 1)
    )
    if not sound:
        raise ModelFileError("what it says about its model does not fit together")


def _is_rule(threshold: Any, above: Any, classes: np.ndarray) -> bool:
    """Return whether a label can be predicted from a probability on."""
    return type(threshold) in (int, float) and np.ndim(above) == 0 and above in classes.tolist()
