"""Builds the pages of the server into the wheel, where Node is.

`NUR_BUILD_PAGES=0` leaves them out, `NUR_BUILD_PAGES=1` makes a wheel without them an error.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BUILD_SECONDS = 600
"""For npm to fetch some 20 MB and to build; it takes half a minute."""


class PagesHook(BuildHookInterface):  # type: ignore[type-arg] # hatchling's own parameter
    """Runs before a wheel is put together; an editable installation builds nothing."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        wanted = os.environ.get("NUR_BUILD_PAGES", "")
        root = Path(self.root)
        is_built = (root / "src/nur_server/web/index.html").is_file()
        if version == "editable" or wanted == "0" or is_built or not (root / "web").is_dir():
            return
        npm = shutil.which("npm")
        if npm is None:
            self._miss(wanted, "expected Node and npm, found none")
            return
        for command in (["ci", "--no-audit", "--no-fund"], ["run", "build"]):
            try:
                subprocess.run([npm, *command], cwd=root / "web", check=True, timeout=BUILD_SECONDS)
            except (subprocess.SubprocessError, OSError) as error:
                self._miss(wanted, f"npm {command[0]} failed: {error}")
                return

    def _miss(self, wanted: str, why: str) -> None:
        message = f"the wheel is built without the dashboard: {why}"
        if wanted == "1":
            raise RuntimeError(message)
        self.app.display_warning(message)
