"""`nur dashboard`: a link that signs one browser in."""

from nur import NurClient
from nur_server.cli import screen
from nur_server.cli.talk import Server


def run(server: Server, place: str) -> int:
    """Print the link; the process's exit code."""
    with NurClient(server.api_key, server.url) as client:
        screen.say(client.keys.sign_in_link(next=place).url)
    return 0
