"""The architecture page: the steps of X exist, and X enters no module but these."""

import inspect
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from support.tiny import make_data, quick

import pcam_sklearn

PACKAGE = Path(pcam_sklearn.__file__).parent
PAGE = PACKAGE.parent / "docs" / "architecture.md"
X, Y = make_data(n=48)


def steps_of(title):
    """Return file and function of each numbered step under a heading."""
    section = PAGE.read_text().split(f"\n## {title}\n")[1].split("\n## ")[0]
    return re.findall(r"^\d+\. `([\w/]+\.py)`, `([\w.]+)`", section, re.MULTILINE)


FIT, PREDICT = (
    steps_of("The trip of X through fit"),
    steps_of("The trip of X through predict_proba"),
)


@pytest.mark.parametrize(("file", "function"), [*FIT, *PREDICT])
def test_every_step_exists(file, function):
    source = (PACKAGE / file).read_text()
    *owner, name = function.split(".")
    assert re.search(rf"^( {{4}})?def {name}\(", source, re.MULTILINE)
    for class_ in owner:
        assert re.search(rf"^class {class_}[(:]", source, re.MULTILINE)


@pytest.mark.parametrize(("steps", "n_at_most"), [(FIT, 7), (PREDICT, 5)], ids=["fit", "predict"])
def test_x_enters_few_modules_and_none_more_than_twice(steps, n_at_most):
    files = [file for file, _ in steps]
    assert 2 < len(set(files)) <= n_at_most
    assert max(files.count(file) for file in files) <= 2


def modules_entered(call):
    """Return the files of the package whose functions are given X itself, in order of entry."""
    entered = []

    def look(frame, event, _):
        file = frame.f_code.co_filename
        if event != "call" or not file.startswith(str(PACKAGE)):
            return
        names = inspect.getargs(frame.f_code).args
        if any(same_pixels(frame.f_locals[name]) for name in names if name in frame.f_locals):
            entered.append(Path(file).relative_to(PACKAGE).as_posix())

    sys.setprofile(look)
    try:
        call()
    finally:
        sys.setprofile(None)
    return [file for i, file in enumerate(entered) if i == 0 or entered[i - 1] != file]


def same_pixels(value):
    return isinstance(value, np.ndarray) and value.ndim == 4 and np.shares_memory(value, X)


def test_a_fit_takes_x_through_the_modules_of_the_page_alone():
    classifier = quick()
    assert_on_page(modules_entered(lambda: classifier.fit(X, Y)), FIT)


def test_a_prediction_takes_x_through_the_modules_of_the_page_alone():
    classifier = quick().fit(X, Y)
    assert_on_page(modules_entered(lambda: classifier.predict_proba(X)), PREDICT)


def assert_on_page(entered, steps):
    """Check that the page names every module that was entered, and that none was more than twice.

    Behind the classifier X is copied or carried, so not every step of the page can be seen.
    """
    assert {"classifier.py", "_reading/_checks.py", "_reading/_batches.py"} <= set(entered)
    assert set(entered) <= {file for file, _ in steps}
    assert max(entered.count(file) for file in entered) <= 2
