"""The server without the extra: it starts, and says what is missing where it is asked for it."""

import subprocess
import sys

SCRIPT = """
import sys
for name in ("reactor_webrtc", "livekit", "livekit.protocol", "google.protobuf"):
    sys.modules[name] = None
from nur_server.api.app import create_app
from nur_server.settings import Settings
from nur_server.transports.webrtc.hub import missing_packages
create_app(Settings(_env_file=None, log_level="error"))
print(sorted(name for name in sys.modules if "webrtc.reactor" in name or "wire.livekit" in name))
"""


def test_the_application_is_made_without_them() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
