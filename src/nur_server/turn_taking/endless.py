"""Sound that goes on without a pause: is it still the user's turn?

The end of a turn is told by silence, `turns`. Where there is none, as with a television as loud as
the user, what the recogniser makes of it tells, and the clock.
"""

NO_NEW_WORDS_MS = 2400
"""Sound without a pause, gone through by the recogniser without new words, that ends a turn: people
say six or seven words in that time."""
UNBROKEN_SECONDS = 20.0
"""Sound without a pause and without new words that ends a turn where the recogniser does not keep
up, or gives no hypotheses while somebody speaks. People draw breath more often."""
LONGEST_TURN_SECONDS = 120.0
"""Nobody is let speak for longer without an answer."""


def end_reason(words_pause_ms: int, unbroken_seconds: float, turn_seconds: float) -> str | None:
    """Why the turn is over. None: it goes on.

    `words_pause_ms` is audio the recogniser has gone through since the latest new words,
    `unbroken_seconds` the time since the latest pause or new words.
    """
    if words_pause_ms >= NO_NEW_WORDS_MS:
        return "no_new_words"
    if unbroken_seconds >= UNBROKEN_SECONDS:
        return "unbroken_sound"
    return "too_long" if is_too_long(turn_seconds) else None


def is_too_long(turn_seconds: float) -> bool:
    """Whether a turn ends, pause or not."""
    return turn_seconds >= LONGEST_TURN_SECONDS
