"""The scorecard of turn-taking: overlaps and pauses through the real server, in real time.

    python -m bench.scorecard                     # every set of scenes, every condition
    python -m bench.scorecard --quick             # a small part of it
    python -m bench.scorecard --set fresh --condition clean --kind backchannel
    python -m bench.scorecard --folder RECORDINGS --json results.json

The scenes are spoken by the embedded synthesisers. The server runs in a process of its own with
embedded speech; its language model is a script. Several scenes are played at once, each on a
WebSocket of its own. The headings and goals of the table are explained in docs/turn_taking.md.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import httpx2

from bench.scorecard.measures import Result, judge, raw
from bench.scorecard.mixing import Studio
from bench.scorecard.playing import Seen, play
from bench.scorecard.report import show
from bench.scorecard.scenes import SETS, Condition, Kind, Scene, recorded, scripted
from bench.scorecard.server import BRIEF, MONOLOGUE, running_server
from bench.server import BenchServer

QUICK = 2
"""Scenes of each kind and condition of a quick run."""
BUSY_CORES = 1.5
"""Server CPU above which the delays say more about the machine than about the server."""

Job = tuple[Scene, Condition]


class Stage:
    """A server with the two agents the scenes are played with."""

    def __init__(self, client: httpx2.AsyncClient, studio: Studio) -> None:
        self._client = client
        self._studio = studio
        self._agents: dict[str, str] = {}

    async def prepare(self) -> None:
        for prompt in (MONOLOGUE, BRIEF):
            body = {"name": "Scorecard", "voice_id": "hazel", "system_prompt": prompt}
            made = await self._client.post("/v1/agents", json=body)
            made.raise_for_status()
            self._agents[prompt] = made.json()["id"]

    async def play(self, job: Job) -> Seen:
        """One scene in a session of its own, with the user's turns as they were stored."""
        scene, condition = job
        agent = self._agents[MONOLOGUE if scene.kind.is_overlap else BRIEF]
        body = {"initial_message": scene.question} if scene.question else {}
        made = await self._client.post(f"/v1/agents/{agent}/sessions", json=body)
        made.raise_for_status()
        session = made.json()
        try:
            seen = await play(self._studio, session["websocket_url"], scene, condition)
        except (OSError, TimeoutError) as error:
            print(f"{scene.name}, {condition}: {error!r}", file=sys.stderr)
            return Seen(scene, condition)
        seen.session_id = session["id"]
        transcript = await self._client.get(f"/v1/sessions/{session['id']}/transcript")
        transcript.raise_for_status()
        turns = transcript.json()["turns"]
        seen.heard = [turn for turn in turns if turn["speaker"] == "user"]
        return seen


async def play_all(server: BenchServer, jobs: Sequence[Job], at_once: int) -> list[Result]:
    """Play everything, `at_once` at a time."""
    studio = Studio()
    waiting = list(reversed(jobs))
    results: list[Result] = []
    headers = {"Authorization": f"Bearer {server.key}"}
    async with httpx2.AsyncClient(base_url=server.url, headers=headers, timeout=30) as client:
        stage = Stage(client, studio)
        await stage.prepare()
        for scene, condition in jobs:
            await studio.take(scene, condition)
        print(f"{len(jobs)} scenes, {at_once} at a time", file=sys.stderr)

        async def player() -> None:
            while waiting:
                results.append(judge(await stage.play(waiting.pop())))
                if len(results) % 50 == 0:
                    print(f"{len(results)} of {len(jobs)} played", file=sys.stderr)

        cpu, began = server.cpu_seconds(), time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in range(at_once):
                group.create_task(player())
                await asyncio.sleep(0.7 if number else 0)
        cores = (server.cpu_seconds() - cpu) / (time.monotonic() - began)
    await studio.close()
    print(f"the server used {cores:.2f} cores of {os.cpu_count()}; load {os.getloadavg()[1]:.1f}")
    if cores > BUSY_CORES:
        print("the machine was too busy: delays are longer than they need be; lower --at-once")
    return results


def chosen(options: argparse.Namespace) -> list[Job]:
    """The scenes to play, under their conditions."""
    if options.folder:
        scenes = recorded(options.folder)
    else:
        scenes = [scene for part in options.set or SETS for scene in scripted(part)]
    kinds = {Kind[name.upper()] for name in options.kind} if options.kind else set(Kind)
    scenes = [scene for scene in scenes if scene.kind in kinds]
    conditions = [Condition[name.upper()] for name in options.condition] or list(Condition)
    most = QUICK if options.quick else options.most or len(scenes)
    by_kind: dict[tuple[str, Kind], list[Scene]] = {}
    for scene in scenes:
        by_kind.setdefault((scene.part, scene.kind), []).append(scene)
    taken = {scene.name for group in by_kind.values() for scene in group[:most]}
    return [
        (scene, condition) for condition in conditions for scene in scenes if scene.name in taken
    ]


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="python -m bench.scorecard",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = {"kinds": [k.name.lower() for k in Kind], "under": [c.name.lower() for c in Condition]}
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} scenes of each kind")
    parser.add_argument("--most", type=int, help="scenes of each kind, at most")
    parser.add_argument("--set", action="append", choices=list(SETS), help="one set alone")
    parser.add_argument("--kind", action="append", choices=names["kinds"], default=[])
    parser.add_argument("--condition", action="append", choices=names["under"], default=[])
    parser.add_argument("--folder", type=Path, help="recordings with a manifest.json")
    parser.add_argument("--at-once", type=int, default=6, help="scenes at the same time")
    parser.add_argument("--json", type=Path, help="write every scene's raw result here")
    return parser.parse_args(arguments)


def main() -> None:
    options = options_of()
    jobs = chosen(options)
    with running_server() as server:
        results = asyncio.run(play_all(server, jobs, options.at_once))
    show(results)
    if options.json:
        options.json.write_text(json.dumps([raw(result) for result in results], indent=1))


if __name__ == "__main__":
    main()
