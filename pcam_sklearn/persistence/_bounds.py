"""The bounds of a model file: the number of its estimators, and how deep they stand."""

from dataclasses import dataclass, field

MOST_NODES = 1000
# An estimator in a list may stand in many others. A prediction asks it each time.
MOST_HELD = 10 * MOST_NODES
# With each estimator around another the time of a prediction, or of a repr, may double.
MOST_DEEP = 10
# To build a small network takes as long as a large one.
MOST_NETWORKS = 100


@dataclass
class Holds:
    """For each estimator, itself and all that it holds: how many they are, and how deep they go.

    `now` is the same for all that the estimator at work has named so far, without itself.
    """

    sizes: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    now: tuple[int, int] = (0, 0)

    def note(self, place: int) -> tuple[int, int]:
        """Count an estimator that the one at work holds, and return `now`."""
        held, deep = self.now
        self.now = held + self.sizes[place], max(deep, self.depths[place])
        return self.now

    def close(self) -> None:
        """Take up the estimator at work, and begin with the next one."""
        held, deep = self.now
        self.sizes.append(1 + held)
        self.depths.append(1 + deep)
        self.now = (0, 0)
