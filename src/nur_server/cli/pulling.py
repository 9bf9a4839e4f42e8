"""Fetching the speech models, with something to watch meanwhile."""

from collections.abc import Sequence

from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn

from nur_server.cli import screen
from nur_server.providers import weights
from nur_server.providers.weights import Phase
from nur_server.settings import Settings

QUARTER = 0.25
"""Share of a download after which a line is printed where no bar can be drawn."""


def pull(settings: Settings, names: Sequence[str] | None = None) -> list[str]:
    """Fetch what is missing of `names`, or of what every server needs; return what was fetched.

    Raises as `weights.pull` does.
    """
    directory = settings.models_dir
    asked = weights.of_packs(names) if names else weights.missing(directory)
    wanted = [n for n in asked if n not in weights.MODELS or not weights.is_there(directory, n)]
    if wanted:
        screen.say(f"Fetching speech models into {settings.models_dir}, once:")
        watch = _bars if screen.out.is_terminal else _lines
        watch(settings, wanted)
    return wanted


def _bars(settings: Settings, names: Sequence[str]) -> None:
    columns = (TextColumn("  {task.description:<20}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=screen.out) as progress:
        bars: dict[str, TaskID] = {}

        def show(now: weights.Progress) -> None:
            if now.model not in bars:
                bars[now.model] = progress.add_task(now.model, total=now.bytes_total)
            progress.update(bars[now.model], completed=now.bytes_done)

        weights.pull(names, settings.models_dir, show)


def _lines(settings: Settings, names: Sequence[str]) -> None:
    shown: dict[str, float] = {}

    def show(now: weights.Progress) -> None:
        share = now.bytes_done / now.bytes_total
        is_news = now.phase is Phase.DONE or share >= shown.get(now.model, -QUARTER) + QUARTER
        if not is_news or shown.get(now.model) == 2.0:
            return
        shown[now.model] = 2.0 if now.phase is Phase.DONE else share
        done = "done" if now.phase is Phase.DONE else f"{share:.0%}"
        screen.say(f"  {now.model}  {done} of {now.bytes_total / 1e6:.0f} MB")

    weights.pull(names, settings.models_dir, show)
