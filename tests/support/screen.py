"""What a terminal shows of what was written to it."""

import io


class Screen(io.StringIO):
    """A stream that takes itself for a terminal."""

    def isatty(self):
        return True


def shown(text):
    """Return the lines left on a screen, once carriage returns have let later text cover earlier.

    Written for text that moves the cursor by nothing else, which is part of what is tested.
    """
    assert "\x1b" not in text
    lines = []
    for written in text.replace("\r\n", "\n").split("\n"):
        line = ""
        for part in written.split("\r"):
            line = part + line[len(part) :]
        lines.append(line.rstrip())
    return lines
