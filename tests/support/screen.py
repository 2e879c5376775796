"""A terminal without a terminal."""

import io


class Screen(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self):
        return True


def shown(text):
    """Return the lines left on a screen after text has overwritten earlier text.

    Carriage returns are the only way to move the cursor; the tests check this too.
    """
    assert "\x1b" not in text
    lines = []
    for written in text.replace("\r\n", "\n").split("\n"):
        line = ""
        for part in written.split("\r"):
            line = part + line[len(part) :]
        lines.append(line.rstrip())
    return lines
