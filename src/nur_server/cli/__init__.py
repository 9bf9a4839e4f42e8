"""The command line. `main` is the program `nur`."""

import os
import sys


def main() -> None:
    """Run the command in `sys.argv` and exit with its code."""
    # Read by numpy's libraries when they are loaded: parallelism comes from this server's own
    # worker threads, and theirs would only spin beside them.
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")

    from nur_server.cli.app import run

    sys.exit(run())
