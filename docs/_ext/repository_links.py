"""Links of the Markdown pages to files of the repository, which the site has under other names.

On the web pages of the repository the links work as they stand.
"""

from typing import Any

# A file outside of docs/, and the page that shows it.
PAGES = {
    "../CHANGELOG.md": "changelog.md",
    "../CONTRIBUTING.md": "contributing.md",
    "../SECURITY.md": "security.md",
    "../pcam_sklearn/models/pcam.md": "pretrained_card.md",
}


def point_to_pages(app: Any, name: str, source: list[str]) -> None:
    """Replace the targets of such links in the text of a page."""
    for file, page in PAGES.items():
        source[0] = source[0].replace(f"]({file})", f"]({page})")


def setup(app: Any) -> dict[str, bool]:
    """Register the extension."""
    app.connect("source-read", point_to_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
