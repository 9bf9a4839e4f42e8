"""Every command and its options. What a command does is in the module of its name.

Modules are imported when their command runs: `nur --help` need not wait for the engines.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from nur_server.cli import process
from nur_server.settings import Settings, unknown_settings

app = typer.Typer(
    help="Nur: self-hosted voice agents.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
keys = typer.Typer(help="The server's API keys, kept in its database.", no_args_is_help=True)
accounts = typer.Typer(help="The server's accounts, kept in its database.", no_args_is_help=True)
models = typer.Typer(help="The embedded speech models.", no_args_is_help=True)
app.add_typer(keys, name="keys")
app.add_typer(accounts, name="accounts")
app.add_typer(models, name="models")

Host = Annotated[str | None, typer.Option(help="Address to listen on.  [NUR_HOST]")]
Port = Annotated[int | None, typer.Option(help="Port to listen on; 0: any.  [NUR_PORT]")]
DataDir = Annotated[Path | None, typer.Option(help="Where data is kept.  [NUR_DATA_DIR]")]
Wav = Annotated[Path | None, typer.Option(help="Say what is in this WAV file.")]
Mic = Annotated[bool, typer.Option("--mic", help="Talk into this machine's microphone.")]
Say = Annotated[list[str] | None, typer.Option(help="Say this; may be given several times.")]


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code. What a user can mend is told in one line."""
    from nur_server.cli import screen
    from nur_server.cli.failures import explain

    try:
        app(arguments, prog_name="nur")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        lines = explain(error)
        if lines is None:
            raise
        for line in lines:
            screen.complain(line)
        return 1
    return 0


@app.command()
def serve(host: Host = None, port: Port = None, data_dir: DataDir = None) -> None:
    """Run the server."""
    settings = _settings(host=host, port=port, data_dir=data_dir)
    with process.starting() as ready:
        from nur_server.cli.place import claimed

        with claimed(settings) as place:
            from nur_server.cli import serve

            raise typer.Exit(serve.run(place, ready))


@app.command()
def demo(
    wav: Wav = None,
    mic: Mic = False,
    say: Say = None,
    exits: Annotated[
        bool, typer.Option("--exit", help="End afterwards: 0 only if the conversation happened.")
    ] = False,
    host: Host = None,
    port: Port = None,
    data_dir: DataDir = None,
) -> None:
    """Start the server, hold a spoken conversation with an agent, and leave the server up."""
    settings = _settings(host=host, port=port, data_dir=data_dir)
    words = _words(wav, mic, say)
    with process.starting() as ready:
        from nur_server.cli.place import claimed, for_a_demonstration

        with claimed(for_a_demonstration(settings)) as place:
            from nur_server.cli import demo

            code = demo.run(place, words, ready, uses_microphone=mic, exits=exits)
        raise typer.Exit(code)


@app.command()
def talk(
    agent: Annotated[str, typer.Argument(help="An agent's id or name.")],
    wav: Wav = None,
    mic: Mic = False,
    say: Say = None,
    tool: Annotated[
        list[str] | None, typer.Option(help="NAME=ANSWER: what to answer calls of a tool with.")
    ] = None,
    record: Annotated[Path | None, typer.Option(help="Keep a stereo WAV of the call.")] = None,
    url: Annotated[str | None, typer.Option(envvar="NUR_BASE_URL", help="The server.")] = None,
    api_key: Annotated[str | None, typer.Option(envvar="NUR_API_KEY", help="Its key.")] = None,
) -> None:
    """Talk to an agent of a running server."""
    from nur_server.cli import talk

    words = _words(wav, mic, say)
    if words is None and not mic:
        raise typer.BadParameter("expected one of --say, --wav and --mic, got none")
    server = talk.Server.found(_checked_settings(), url, api_key)
    raise typer.Exit(talk.run(server, agent, words, answers=_answers(tool or []), recording=record))


@app.command()
def replay(
    session: Annotated[str, typer.Argument(help="A session's or call's id.")],
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=VALUE: show what would have been; several times."),
    ] = None,
    save_test: Annotated[
        Path | None, typer.Option(help="Write a pytest file that replays it: test_….py")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Run a recorded session again and show what happened when, and why."""
    from nur_server.cli import replay

    settings = _checked_settings(data_dir=data_dir)
    raise typer.Exit(
        replay.run(settings, session, changes=changes or (), save_test=save_test, as_json=as_json)
    )


@app.command()
def dial(
    number: Annotated[str, typer.Argument(help="Whom to call: +15550100 is simulated.")],
    agent: Annotated[str, typer.Option(help="An agent's id or name.")],
    context: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE of a {{variable}}; several times.")
    ] = None,
    record: Annotated[bool, typer.Option("--record", help="Record the call.")] = False,
    url: Annotated[str | None, typer.Option(envvar="NUR_BASE_URL", help="The server.")] = None,
    api_key: Annotated[str | None, typer.Option(envvar="NUR_API_KEY", help="Its key.")] = None,
) -> None:
    """Have an agent of a running server call a number, and watch the call."""
    from nur_server.cli import dial, talk

    server = talk.Server.found(_checked_settings(), url, api_key)
    given = _pairs(context or [], "--context")
    raise typer.Exit(dial.run(server, number, agent, context=given, record=record))


@app.command()
def dashboard(
    to: Annotated[str, typer.Option(help="Where the link leads, such as /agents.")] = "/",
    url: Annotated[str | None, typer.Option(envvar="NUR_BASE_URL", help="The server.")] = None,
    api_key: Annotated[str | None, typer.Option(envvar="NUR_API_KEY", help="Its key.")] = None,
) -> None:
    """Print a link that signs one browser in to the dashboard, once, within ten minutes."""
    from nur_server.cli import dashboard, talk

    server = talk.Server.found(_checked_settings(), url, api_key)
    raise typer.Exit(dashboard.run(server, to))


@app.command()
def doctor() -> None:
    """Say what this machine has for Nur, what is missing, and how to mend it."""
    from nur_server.cli import doctor

    raise typer.Exit(doctor.run(_settings()))


@app.command()
def migrate() -> None:
    """Bring the database to this version's schema. Stop the servers of an older version first."""
    from nur_server.cli import migrate

    raise typer.Exit(migrate.run(_checked_settings()))


@app.command()
def version() -> None:
    """Print the version."""
    from nur_server import __version__
    from nur_server.cli import screen

    screen.say(f"nur {__version__}")


@keys.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(help="What it may do, e.g. agents:read; several times. Default: everything."),
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, help="Valid for so many days.")] = None,
) -> None:
    """Make a key, and show it this once."""
    from nur_server.cli import keys

    raise typer.Exit(keys.create(_checked_settings(), name, scope, days))


@keys.command("list")
def list_keys() -> None:
    """List the keys, without their secrets."""
    from nur_server.cli import keys

    raise typer.Exit(keys.list_all(_checked_settings()))


@keys.command("revoke")
def revoke_key(key: Annotated[str, typer.Argument(help="The key's id: key_…")]) -> None:
    """Make a key useless, at once and for good."""
    from nur_server.cli import keys

    raise typer.Exit(keys.revoke(_checked_settings(), key))


AccountId = Annotated[str, typer.Argument(help="The account's id: acc_…")]
MaxSessions = Annotated[int | None, typer.Option(help="Live sessions at a time; -1: any number.")]
MaxAgents = Annotated[int | None, typer.Option(help="Stored agents; -1: any number.")]


@accounts.command("create")
def create_account(
    name: str, max_live_sessions: MaxSessions = None, max_agents: MaxAgents = None
) -> None:
    """Make an account with a key to everything in it; show its id, then the key, this once."""
    from nur_server.cli import accounts

    limits = {"max_live_sessions": max_live_sessions, "max_agents": max_agents}
    raise typer.Exit(accounts.create(_checked_settings(), name, limits))


@accounts.command("list")
def list_accounts() -> None:
    """List the accounts and their limits."""
    from nur_server.cli import accounts

    raise typer.Exit(accounts.list_all(_checked_settings()))


@accounts.command("limit")
def limit_account(
    account: AccountId,
    max_live_sessions: MaxSessions = None,
    max_agents: MaxAgents = None,
    suspend: Annotated[
        bool | None, typer.Option("--suspend/--open", help="Shut it out, or let it in again.")
    ] = None,
) -> None:
    """Change the limits of an account, or suspend it."""
    from nur_server.cli import accounts

    limits = {"max_live_sessions": max_live_sessions, "max_agents": max_agents}
    raise typer.Exit(accounts.limit(_checked_settings(), account, limits, suspend=suspend))


@accounts.command("export")
def export_account(account: AccountId, archive: Path) -> None:
    """Write everything of an account to a ZIP file, recordings included."""
    from nur_server.cli import accounts

    raise typer.Exit(accounts.export(_checked_settings(), account, archive))


@accounts.command("delete")
def delete_account(
    account: AccountId, yes: Annotated[bool, typer.Option("--yes", help="I mean it.")] = False
) -> None:
    """Erase an account and everything of it for good, recordings included."""
    from nur_server.cli import accounts

    raise typer.Exit(accounts.delete(_checked_settings(), account, is_sure=yes))


@accounts.command("number")
def give_number(account: AccountId, number: str) -> None:
    """Give an account a phone number, without its proof."""
    from nur_server.cli import accounts

    raise typer.Exit(accounts.give_number(_checked_settings(), account, number))


@models.command("list")
def list_models() -> None:
    """List the embedded models, and whether they are there."""
    from nur_server.cli import models

    raise typer.Exit(models.list_all(_checked_settings()))


@models.command("pull")
def pull_models(
    names: Annotated[list[str] | None, typer.Argument(help="Which. Default: all.")] = None,
) -> None:
    """Fetch the embedded models. The server does it by itself when it starts."""
    from nur_server.cli import models

    raise typer.Exit(models.pull(_checked_settings(), names or []))


def _settings(**given: Any) -> Settings:
    """The settings of a command that tells of unknown ones by itself: in its log, or its report."""
    return Settings(**{name: value for name, value in given.items() if value is not None})


def _checked_settings(**given: Any) -> Settings:
    """As `_settings`, with a note for each unknown one."""
    from nur_server.cli import screen

    settings = _settings(**given)
    for unknown in unknown_settings(settings):
        screen.warn(str(unknown))
    return settings


def _words(wav: Path | None, mic: bool, say: list[str] | None) -> Any:
    if (wav is not None) + mic + bool(say) > 1:
        raise typer.BadParameter("expected at most one of --say, --wav and --mic, got several")
    if wav is None and not say:
        return None
    from nur_server.cli.talk import Words

    return Words(tuple(say or ()), wav)


def _answers(given: list[str]) -> dict[str, str]:
    for answer in given:
        if "=" not in answer:
            raise typer.BadParameter(f"expected NAME=ANSWER for --tool, got {answer!r}")
    return dict(answer.split("=", 1) for answer in given)


def _pairs(given: list[str], option: str) -> dict[str, str]:
    for pair in given:
        if "=" not in pair:
            raise typer.BadParameter(f"expected NAME=VALUE for {option}, got {pair!r}")
    return dict(pair.split("=", 1) for pair in given)
