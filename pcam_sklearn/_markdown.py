"""Text in Markdown."""

import re

# Characters that Markdown reads as markup; "-", "+" and "1." only matter where a line begins.
_MARKUP = re.compile(r"([\\`*_\[\]<>#|~$&]|^[-+]|(?<=^\d)[.)])")


def escape_markdown(text: str) -> str:
    """Return text that Markdown shows as it is."""
    # A line break would end a row of a table, so all white space becomes single spaces.
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))
