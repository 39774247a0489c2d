"""Addresses at which no Ray cluster is; nothing of Ray is needed to tell."""

import socket

import pytest
import tiny_workload
from typer.testing import CliRunner

from tuning import run_sweep
from tuning.cli.app import app
from tuning.engines import ray_address
from tuning.engines.ray_address import check_answers


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    # Another test's module may have connected this process.
    monkeypatch.setattr(ray_address, "_is_connected", lambda: False)


@pytest.fixture
def listening():
    """Something that answers, on a port of its own."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def deserted():
    """A port that is nobody else's, and where nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_where_nothing_listens_is_told(deserted, scheme):
    address = scheme + deserted
    with pytest.raises(ValueError, match=f"at {address}: Connection refused.*head"):
        check_answers(address)


def test_a_host_without_a_name_is_told():
    with pytest.raises(ValueError, match=r"at ray://nowhere\.invalid:10001: "):
        check_answers("ray://nowhere.invalid:10001")


def test_a_host_that_never_answers_is_told_in_time(monkeypatch):
    def never(place, timeout):
        assert (place, timeout) == (("10.0.0.1", 6379), 2.0)
        raise TimeoutError("timed out")

    monkeypatch.setattr(socket, "create_connection", never)
    with pytest.raises(ValueError, match=r"at 10\.0\.0\.1:6379: timed out"):
        check_answers("10.0.0.1:6379", seconds=2.0)


def test_the_address_of_the_environment_is_looked_at_too(monkeypatch, deserted):
    check_answers(None)
    monkeypatch.setenv("RAY_ADDRESS", deserted)
    with pytest.raises(ValueError, match="no Ray cluster can be reached"):
        check_answers(None)


@pytest.mark.parametrize("address", ["{}", "ray://{}", "ray://{}/job?x=1"])
def test_what_answers_is_left_to_ray(listening, address):
    check_answers(address.format(listening))


@pytest.mark.parametrize(
    "address", ["auto", "local", "nonsense", "host:port", "other://deserted:1", "[::1"]
)
def test_an_address_that_ray_alone_understands_is_left_to_it(address):
    check_answers(address)


def test_a_process_that_is_connected_is_left_alone(monkeypatch, deserted):
    monkeypatch.setattr(ray_address, "_is_connected", lambda: True)
    check_answers(deserted)


def test_a_sweep_finds_out_before_it_loads_data_or_writes(tmp_path, deserted):
    def load():
        raise AssertionError("data were loaded")

    workload = tiny_workload.make_workload(load_data=load)
    out = tmp_path / "sweep"
    with pytest.raises(ValueError, match="no Ray cluster can be reached"):
        run_sweep(workload, out, engine="ray", ray_address=deserted)
    assert not out.exists()


def test_the_command_says_so_in_one_line(tmp_path, deserted):
    out = tmp_path / "sweep"
    command = ["run", "--out", str(out), "--engine", "ray", "--ray-address", deserted]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    assert result.stderr.startswith(
        f"keras-adam-sweep: no Ray cluster can be reached at {deserted}: "
    )
    assert len(result.stderr.splitlines()) == 1
    assert not out.exists()
