"""How long `nur serve` takes to answer, and what it then weighs.

    python -m bench.start                    # five starts on one data directory
    python -m bench.start --starts 10

The first start makes the database; models must be cached. Times are counted from the start of the
process to its first ready answer, memory is what is resident then. On a machine with nothing else
to do, the start takes little longer than the processor time of its main thread; other threads load
the models meanwhile.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.server import BenchServer, ended, free_port, wait_until_ready


@dataclass(frozen=True, slots=True)
class Start:
    wall_seconds: float
    cpu_seconds: float
    main_cpu_seconds: float
    """Of the main thread alone."""
    resident_mb: float
    threads: int

    def __str__(self) -> str:
        return (
            f"ready after {self.wall_seconds:.2f} s, {self.cpu_seconds:.2f} s of processor time "
            f"({self.main_cpu_seconds:.2f} s in the main thread), "
            f"{self.resident_mb:.0f} MB resident, {self.threads} threads"
        )


def start(folder: Path) -> Start:
    """Start the server on the data directory `folder`, look at it, end it."""
    port = free_port()
    environment = os.environ | {"NUR_DATA_DIR": str(folder), "NUR_DISCOVER_MODELS": "0"}
    command = [str(Path(sys.executable).with_name("nur")), "serve", "--port", str(port)]
    began = time.monotonic()
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        with ended(process):
            url = f"http://127.0.0.1:{port}"
            wait_until_ready(url, process, folder / "log")
            wall = time.monotonic() - began
            server = BenchServer(url, "", process.pid, wall)
            return Start(
                wall,
                server.cpu_seconds(),
                server.main_cpu_seconds(),
                server.resident_mb(),
                server.threads(),
            )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--starts", type=int, default=5)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(f"first   {start(Path(folder))}")
        starts = [start(Path(folder)) for _ in range(chosen.starts)]
    for one in starts:
        print(f"again   {one}")
    walls = [one.wall_seconds for one in starts]
    main = [one.main_cpu_seconds for one in starts]
    print(f"median  {statistics.median(walls):.2f} s, best {min(walls):.2f} s")
    print(f"        {statistics.median(main):.2f} s in the main thread, best {min(main):.2f} s")


if __name__ == "__main__":
    main()
