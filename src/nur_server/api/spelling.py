"""What somebody may have meant by a name that is not there."""

from collections.abc import Collection
from difflib import get_close_matches

LIKENESS = 0.75
"""How alike a meant name is, as `difflib` counts: `sytem_prompt` and `system_prompt` are 0.96
alike, `voice` and `volume` 0.55."""

USUAL_NAMES = {
    "api_key_id": ("id",),
    "agent": ("agent_id",),
    "begin_message": ("first_message", "greeting"),
    "callback_url": ("webhook_url",),
    "first_message": ("greeting",),
    "firstmessage": ("first_message", "greeting"),
    "from": ("from_number",),
    "functions": ("tools",),
    "greeting": ("first_message", "initial_message"),
    "greeting_message": ("first_message", "greeting"),
    "instructions": ("system_prompt",),
    "llm": ("llm_model",),
    "locale": ("language",),
    "max_call_duration": ("max_duration_seconds",),
    "max_duration": ("max_duration_seconds",),
    "model": ("llm_model",),
    "number": ("phone_number", "to_number"),
    "phone": ("phone_number", "to_number", "to"),
    "prompt": ("system_prompt",),
    "speaker": ("voice_id", "voice"),
    "stt": ("stt_model",),
    "system": ("system_prompt",),
    "system_message": ("system_prompt",),
    "to": ("to_number", "phone_number"),
    "transcriber": ("stt_model",),
    "tts": ("tts_model",),
    "voice": ("voice_id",),
    "voice_id": ("voice",),
    "webhook": ("webhook_url",),
}
"""What other APIs call a field, with this API's names for it, the likeliest first."""


def meant(name: str, names: Collection[str]) -> str | None:
    """The one of `names` that `name` probably stands for. None: there is none."""
    lowered = name.lower().replace("-", "_")
    usual = next((n for n in USUAL_NAMES.get(lowered, ()) if n in names), None)
    if usual is not None:
        return usual
    return next(iter(get_close_matches(lowered, names, 1, LIKENESS)), None)


def hint(name: str, names: Collection[str]) -> str:
    """What to say of a name that is not one of `names`."""
    likely = meant(name, names)
    if likely is not None:
        return f"did you mean {likely!r}?"
    return f"expected one of {', '.join(sorted(names))}" if names else "check its spelling"
