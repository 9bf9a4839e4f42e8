import stat
from pathlib import Path

import pytest

from nur_server.cli.failures import Failure
from nur_server.cli.home import Home


@pytest.fixture
def home(data_dir: Path) -> Home:
    return Home(data_dir)


def test_the_key_is_for_its_owner_alone(home: Home) -> None:
    assert home.key() is None
    home.keep_key("nur_first")
    assert home.key() == "nur_first"
    assert stat.S_IMODE(home.key_file.stat().st_mode) == 0o600


def test_a_key_takes_the_place_of_the_one_before(home: Home) -> None:
    home.keep_key("nur_first")
    home.key_file.chmod(0o644)
    home.keep_key("nur_second")
    assert home.key() == "nur_second"
    assert stat.S_IMODE(home.key_file.stat().st_mode) == 0o600


def test_other_commands_find_the_server_while_it_runs(home: Home, data_dir: Path) -> None:
    assert home.server_address() is None
    with home.claimed() as claim:
        claim.announce("http://127.0.0.1:8080")
        assert Home(data_dir).server_address() == "http://127.0.0.1:8080"
    assert Home(data_dir).server_address() is None


def test_two_servers_do_not_share_a_data_directory(home: Home, data_dir: Path) -> None:
    with home.claimed() as claim:
        claim.announce("http://127.0.0.1:8080")
        with pytest.raises(Failure, match=r"already runs from .* at http://127.0.0.1:8080"):
            Home(data_dir).claimed().__enter__()
    with Home(data_dir).claimed():
        pass


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Failure, match="NUR_DATA_DIR"):
        Home(tmp_path / "file" / "data").claimed().__enter__()
