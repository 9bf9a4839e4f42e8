"""The server of the scorecard: the real one, with embedded speech and a model that is a script.

Run as a program: `python -m bench.scorecard.server PORT FOLDER`.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import asyncio
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from bench.server import BenchServer, started

if TYPE_CHECKING:  # the parent process needs neither
    from nur_server.providers.catalogue import Catalogue
    from nur_server.settings import Settings

MONOLOGUE, BRIEF = "Speak at length.", "Be brief."
"""System prompts, which the script goes by."""
LONG_ANSWER = (
    "We have a wide range of offers this season, and I am happy to take you through all of them. "
    "The first collection is made of natural materials and comes in seven different sizes. "
    "Every item is checked by hand before it leaves our workshop in the old part of the town. "
    "The second collection was designed together with young artists from several countries. "
    "It includes jackets, scarves, gloves and hats, which are popular with our younger visitors. "
    "All of these can be delivered to any address, or kept for collection until the weekend. "
    "Members of our club receive an additional discount, free wrapping and an invitation to our "
    "summer party, where new designs are presented for the first time. "
)
SHORT_ANSWER = "Thank you, I have made a note of that."


def running_server() -> AbstractContextManager[BenchServer]:
    """The server in a process of its own, ended with the block."""
    return started("bench.scorecard.server")


def _serve(port: int, folder: Path) -> None:
    import uvicorn

    from nur_server.api.app import create_app
    from nur_server.settings import Settings
    from nur_server.store.records import NewKey

    def keep(key: NewKey) -> None:
        (folder / "key").write_text(key.secret)

    settings = Settings(data_dir=folder, port=port, discover_models=False, log_level="warning")
    app = create_app(
        settings,
        catalogue=asyncio.run(_catalogue(settings)),
        rate_limits={},
        on_first_key=keep,
    )
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=port,
        log_level="warning",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
    )


async def _catalogue(settings: "Settings") -> "Catalogue":
    """Embedded speech, loaded; the words of the agent are written down."""
    from nur_server.ports import ReplyRequest
    from nur_server.providers import flite, weights
    from nur_server.providers.catalogue import Catalogue
    from nur_server.providers.espeak import Espeak
    from nur_server.providers.flite import Flite
    from nur_server.providers.moonshine import Moonshine
    from nur_server.providers.scripted import ScriptedLanguageModel
    from nur_server.providers.silero import SileroVad
    from nur_server.providers.smart_turn import SmartTurn

    names = [weights.MOONSHINE, weights.SILERO, weights.SMART_TURN]
    await asyncio.to_thread(weights.pull, names, settings.models_dir)

    def answer(request: ReplyRequest) -> str:
        is_long = any(MONOLOGUE in message.content for message in request.messages[:1])
        return LONG_ANSWER if is_long else SHORT_ANSWER

    return Catalogue.scripted(
        stt=Moonshine(settings.models_dir),
        llm=ScriptedLanguageModel(answer),
        tts=Flite() if flite.available() else Espeak(),
        vad=SileroVad(settings.models_dir),
        turn_model=SmartTurn(settings.models_dir),
    )


if __name__ == "__main__":
    _serve(int(sys.argv[1]), Path(sys.argv[2]))
