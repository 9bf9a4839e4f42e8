"""The example of the page on testing agents works as it stands."""

import asyncio
import re
from pathlib import Path
from typing import Any

from nur_server import testing

PAGE = (Path(__file__).parents[2] / "docs" / "testing_agents.md").read_text()


def test_the_example_passes() -> None:
    [example] = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    names: dict[str, Any] = {}
    exec(example, names)
    asyncio.run(names["test_it_looks_up_the_order"]())


def test_every_claim_and_step_named_exists() -> None:
    named = set(re.findall(r"`(?:await )?(?:call\.)?([a-z_]+)\(", PAGE))
    known = {*dir(testing.Rehearsal), *testing.__all__, "says"}
    assert {name for name in named if name.startswith("assert_")} <= known
    for name in re.findall(r"`(?:await )?call\.([a-z_]+)", PAGE):
        assert hasattr(testing.Rehearsal, name) or name in ("ear", "handset"), name
