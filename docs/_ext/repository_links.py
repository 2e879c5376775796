"""Pages whose text stands in files outside of docs/, and links between all of them.

In the repository every link leads to a file, so that it works there too. Here a link to a file that
the site shows leads to its page, an example of the gallery to the page that is made of it, and of a
link to any other file of the repository the text stays.
"""

import os
import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1]
ROOT = DOCS.parent
EXAMPLES = ROOT / "examples" / "gallery"
# The name of a page, and the file that holds its text.
FILES = {
    "changelog": ROOT / "CHANGELOG.md",
    "code_of_conduct": ROOT / "CODE_OF_CONDUCT.md",
    "contributing": ROOT / "CONTRIBUTING.md",
    "pretrained_card": ROOT / "pcam_sklearn" / "models" / "pcam.md",
    "security": ROOT / "SECURITY.md",
}
PAGES = {file: f"{page}.md" for page, file in FILES.items()}
_LINK = re.compile(r"\[([^\[\]]+)\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")
_HEADER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)


def read_page(app: Any, name: str, source: list[str]) -> None:
    """Take the text of a page from its file, and point its links to pages."""
    file = FILES.get(name, DOCS / f"{name}.md")
    if name in FILES:
        app.env.note_dependency(str(file))
        source[0] = _HEADER.sub("", file.read_text())
    if file.suffix == ".md" and file.exists():
        source[0] = _LINK.sub(lambda link: _point(link, file.parent), source[0])


def _point(link: re.Match[str], folder: Path) -> str:
    """Return the link as it works on a page in docs/."""
    text, name, anchor = link.groups()
    target = (folder / name).resolve()
    if target.is_relative_to(DOCS) or not target.exists():
        page = os.path.relpath(target, DOCS)
    elif target.parent == EXAMPLES and target.suffix == ".py":
        page = f"gallery/{target.stem}.rst"
    elif target in PAGES:
        page = PAGES[target]
    else:
        return text
    return f"[{text}]({page}{anchor or ''})"


def setup(app: Any) -> dict[str, bool]:
    """Register the extension."""
    app.connect("source-read", read_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
