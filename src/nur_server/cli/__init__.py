"""The command line. `main` is the program `nur`."""

import sys


def main() -> None:
    """Run the command in `sys.argv` and exit with its code."""
    from nur_server.cli import process

    process.prepare()

    from nur_server.cli.app import run

    sys.exit(run())
