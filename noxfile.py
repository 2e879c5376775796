#!/usr/bin/env -S uv run --script
"""Sessions for `nox -s NAME`. Each runs the section of `.ci/run` that has its name."""

# /// script
# dependencies = ["nox>=2025.2.9"]
# ///

import nox

nox.needs_version = ">=2025.2.9"
# The sections make their environments themselves, as the README tells it.
nox.options.default_venv_backend = "none"


def run_section(session: nox.Session) -> None:
    """Run the section of `.ci/run` that has the session's name."""
    session.run("bash", ".ci/run", session.name, external=True)


@nox.session
def lint(session: nox.Session) -> None:
    """Run the linters, the formatter and the type checker."""
    run_section(session)


@nox.session
def tests(session: nox.Session) -> None:
    """Run all tests in a fresh environment, by the command of the README."""
    run_section(session)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; any warning is an error."""
    run_section(session)


@nox.session(default=False)
def quickstart(session: nox.Session) -> None:
    """Run the main job, by the command of the README."""
    run_section(session)


@nox.session(default=False)
def oldest(session: nox.Session) -> None:
    """Run the tests with the oldest versions that pyproject.toml allows."""
    run_section(session)


@nox.session(default=False)
def prerelease(session: nox.Session) -> None:
    """Run the tests with pre-releases of all dependencies."""
    run_section(session)


@nox.session(default=False)
def build(session: nox.Session) -> None:
    """Build the files of a release and check them."""
    run_section(session)


if __name__ == "__main__":
    nox.main()
