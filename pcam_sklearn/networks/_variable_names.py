"""Names of a network's variables that are the same in each process."""

import re
from collections import Counter
from collections.abc import Sequence

import keras


def name_variables(variables: Sequence[keras.Variable]) -> list[str]:
    """Return each variable's path without the numbers by which Keras tells equal layers apart.

    Keras counts layers within a process. Here the order of the variables counts instead.
    """
    seen: Counter[str] = Counter()
    names = []
    for variable in variables:
        path = re.sub(r"_\d+(?=[_/]|$)", "", variable.path)
        names.append(f"{path}#{seen[path]}" if seen[path] else path)
        seen[path] += 1
    return names
