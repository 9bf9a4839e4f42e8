"""Writes the SDK's types of an agent from its declaration.

    python -m nur_server.agents.sdk_types

rewrites `src/nur/agent_fields.py`; a test fails while that file is not what this module makes.
"""

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import nur
from nur_server.agents.declaration import AgentBody, AgentChanges, without_checks
from nur_server.agents.stored import COLUMNS

REQUIRED = tuple(name for name, field in AgentBody.model_fields.items() if field.is_required())
"""Fields without which there is no agent."""
WIDTH = 98

HEADER = '''"""What an agent may be given, and what is read of it.

Written by `python -m nur_server.agents.sdk_types` from the server's declaration of an agent.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from pydantic import Field

from nur.object import NurObject


class AgentOptions(TypedDict, total=False):
    """What an agent may be given besides its name, voice and prompt.

    A field left out keeps the server's default. Fields not listed here are sent as they are.
    """
'''
CHANGES = '''

class AgentChanges(AgentOptions, total=False):
    """What of an agent can be changed: everything."""
'''
SHOWN = '''

class AgentFields(NurObject):
    """The fields of a stored agent. None: the server's default."""
'''


def sdk_types() -> str:
    """The text of `src/nur/agent_fields.py`."""
    optional = [name for name in AgentChanges.model_fields if name not in REQUIRED]
    parts = [HEADER, *map(_option, optional)]
    parts += [CHANGES, *map(_option, REQUIRED)]
    parts += [SHOWN, *map(_shown, AgentChanges.model_fields)]
    return "".join(parts)


def _option(name: str) -> str:
    """A field as it is written: any mapping, any sequence."""
    kinds = " | ".join(_kinds(name, mapping="Mapping[str, Any]", sequence="Sequence"))
    return f"\n    {name}: {kinds}\n{_doc(name)}"


def _shown(name: str) -> str:
    """A field as it is read: a server that is older than this SDK may not have it."""
    kinds = list(_kinds(name, mapping="dict[str, Any]", sequence="list"))
    kinds = [kind if not kind.startswith("Literal") else "str" for kind in kinds]
    quiet = AgentChanges.model_fields[name].repr is False
    if name in REQUIRED:
        default = ""
    elif quiet:
        default = " = Field(default=None, repr=False)"
    elif name in COLUMNS and kinds[0].startswith(("list", "dict")):
        kinds, default = kinds[:1], f" = Field(default_factory={kinds[0].partition('[')[0]})"
    else:
        default = " = None"
    return f"\n    {name}: {' | '.join(kinds)}{default}\n{_doc(name)}"


def _kinds(name: str, *, mapping: str, sequence: str) -> Iterator[str]:
    annotation = without_checks(AgentChanges.model_fields[name].annotation)
    kinds = [annotation] if annotation in (str, int, float, bool) else get_args(annotation)
    for kind in kinds:
        if kind is NoneType:
            yield "None"
        elif kind in (str, int, float, bool):
            yield kind.__name__
        elif get_origin(kind) is Literal:
            yield f"Literal[{', '.join(json.dumps(value) for value in get_args(kind))}]"
        elif get_origin(kind) is list:
            inner: Any = get_args(kind)[0]
            yield f"{sequence}[{'str' if inner is str else mapping}]"
        else:
            yield mapping


def _doc(name: str) -> str:
    text = AgentChanges.model_fields[name].description or ""
    lines = textwrap.wrap(text, WIDTH - 7)
    return textwrap.indent('"""' + "\n".join(lines) + '"""\n', "    ")


if __name__ == "__main__":
    (Path(nur.__file__).parent / "agent_fields.py").write_text(sdk_types())
