"""What is asserted of speech that was recognised: that it was understood, not each word of it.

The embedded recogniser mishears a word now and then, which one depending on where its frames begin
and on the processor it runs on.
"""

from nur_server.conversation.words import normalise

MOST_MISSED = 0.3
"""Of the words that were said."""


def assert_heard(heard: str, said: str) -> None:
    """Most of the words, each somewhere."""
    words, found = normalise(said).split(), set(normalise(heard).split())
    missing = [word for word in words if word not in found]
    assert len(missing) <= len(words) * MOST_MISSED, f"expected {said!r}, heard {heard!r}"
