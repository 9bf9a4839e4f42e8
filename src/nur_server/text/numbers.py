"""The rules by which the figures of a text are said, by language.

English is spelled out here; for other languages plain numbers come from `num2words`, and dates and
times stay as written: synthesisers know those of their own language.
"""

import re

from nur_server.text.codes import code_rules
from nur_server.text.english_dates import DATES
from nur_server.text.english_measures import MEASURES
from nur_server.text.english_money import MONEY
from nur_server.text.other_languages import number_rules
from nur_server.text.rules import Rule


def rules(language: str) -> tuple[Rule, ...]:
    """How the figures of a text in `language` (ISO 639-1, with or without a region) are said."""
    is_english = re.split(r"[-_]", language.lower(), maxsplit=1)[0] in ("en", "")
    if is_english:
        return (*DATES, *MONEY, *code_rules(language), *MEASURES)
    return (*code_rules(language), *number_rules(language))
