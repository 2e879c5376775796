"""Code blocks without the empty line that ends an example for doctest."""

from typing import Any

from docutils import nodes


def strip_ends(app: Any, doctree: nodes.document) -> None:
    """Remove empty lines at the end of code blocks."""
    for block in doctree.findall(nodes.literal_block):
        # Sphinx highlights a block only if its text is its source.
        if block.rawsource == block.astext() and block.rawsource.endswith("\n"):
            block.rawsource = block.rawsource.rstrip("\n")
            block[:] = [nodes.Text(block.rawsource)]


def setup(app: Any) -> dict[str, bool]:
    """Register the extension."""
    app.connect("doctree-read", strip_ends)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
