"""What is asserted of speech that was recognised: that it was understood, not each word of it.

The embedded recogniser mishears a word now and then ("this tad is" for "the status"), which one
depending on where its frames begin and on the processor it runs on.
"""

from difflib import SequenceMatcher

from nur_server.turn_taking.words import normalise

LEAST_HEARD = 0.5
"""Of the letters that were said. Of any two sentences, 99 in a hundred share less than 0.4."""
SHORTEST_RUN = 3
"""Letters in a row that count: fewer are found in any text."""


def share_heard(heard: str, said: str) -> float:
    """How much of `said` is somewhere in `heard`, in its order: 0–1."""
    found, wanted = normalise(heard), normalise(said)
    runs = SequenceMatcher(None, found, wanted, autojunk=False).get_matching_blocks()
    return sum(run.size for run in runs if run.size >= SHORTEST_RUN) / len(wanted)


def assert_heard(heard: str, said: str) -> None:
    """Most of it, in its order; there may be more."""
    share = share_heard(heard, said)
    assert share >= LEAST_HEARD, f"expected {said!r}, heard {heard!r}, {share:.0%} of it"
