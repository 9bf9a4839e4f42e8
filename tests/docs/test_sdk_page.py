"""The page of the Python client is held to the client."""

import inspect

from nur import NurClient, events
from tests.docs.page import Page, named

PAGE = Page.read("sdk.md")


def resources(of: object, path: str) -> dict[str, set[str]]:
    """Everything a client can ask for, by where it hangs."""
    found: dict[str, set[str]] = {}
    public = [name for name in dir(type(of)) if not name.startswith("_")]
    for name in public:
        if not isinstance(inspect.getattr_static(type(of), name), property):
            continue
        part = getattr(of, name)
        if not isinstance(part, str):
            found |= resources(part, f"{path}.{name}")
    if path != "client":
        found[path] = {
            name
            for name in public
            if not isinstance(inspect.getattr_static(type(of), name), property)
        }
    return found


def test_every_resource_stands_on_the_page_with_its_methods() -> None:
    rows = PAGE.below("Resources").rows()
    with NurClient("nur_k", "http://127.0.0.1:9") as client:
        there = resources(client, "client")
    assert {path: set(named(row[1])) for path, row in rows.items()} == there


def test_every_event_stands_on_the_page() -> None:
    rows = PAGE.below("Events").rows()
    assert set(rows) == {kind.__name__ for kind in events.Event.__args__}


def test_the_client_knows_every_event_of_the_socket() -> None:
    examples = Page.read("websocket.md").below("What the server sends").json_lines()
    read = {each["type"]: events.read_event(each) for each in examples}
    unknown = {name for name, event in read.items() if isinstance(event, events.UnknownEvent)}
    assert unknown == {"call.answered"}, "it goes to no socket a client can join"
