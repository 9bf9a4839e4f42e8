"""`nur models`: the weights of the embedded speech models."""

from collections.abc import Sequence

from nur_server.cli import pulling, screen
from nur_server.providers import weights
from nur_server.providers.registry import ENTRIES
from nur_server.settings import Settings


def list_all(settings: Settings) -> int:
    screen.say(f"Fetched into {settings.models_dir}", "bold")
    screen.table(
        ("model", "state", "download", "licence"),
        (
            (
                model.name,
                _state(settings, model),
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


def _state(settings: Settings, model: weights.Weights) -> str:
    if weights.is_there(settings.models_dir, model.name):
        return "there"
    if model.pack is None:
        return "missing: nur models pull"
    return f"optional: nur models pull {model.pack}"


def pull(settings: Settings, names: Sequence[str]) -> int:
    """Raises as `weights.pull` does."""
    fetched = pulling.pull(settings, names)
    screen.say(f"Fetched {', '.join(fetched)}" if fetched else "Every model is there already")
    return 0
