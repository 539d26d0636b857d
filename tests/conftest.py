"""What all tests share: one back end per process, the real pictures where they are, seeds, no network."""

from __future__ import annotations

import os
import socket
import zlib
from pathlib import Path

import pytest

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

ROOT = Path(__file__).resolve().parents[1]


def data_folder() -> Path:
    """Where the real pictures lie: $CONVSCOPE_DATA, else ../shared/data beside the project."""
    return Path(os.environ.get("CONVSCOPE_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real pictures; the test is skipped, saying so, where it is absent."""
    folder = data_folder()
    if not folder.is_dir():
        pytest.skip("real pictures absent: set CONVSCOPE_DATA")
    return folder


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that opens a connection to another machine fails."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        host = address[0] if isinstance(address, tuple) else "local"
        if host not in ("127.0.0.1", "::1", "localhost", "local"):
            raise AssertionError(f"a test tried to reach {host}")
        return connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave slow tests out unless they are asked for with -m; keep only the chosen shard."""
    part, parts = (int(x) for x in config.getoption("shard").split("/"))
    slow_asked = "slow" in (config.getoption("markexpr") or "")

    def wanted(item: pytest.Item) -> bool:
        in_shard = zlib.crc32(item.nodeid.encode()) % parts == part
        return in_shard and (slow_asked or item.get_closest_marker("slow") is None)

    dropped = [i for i in items if not wanted(i)]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [i for i in items if wanted(i)]


_unexpected_skips: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """In CI note each skip that tests/allowed_skips.txt does not name: absent data must not turn green."""
    if not (report.skipped and os.environ.get("CI")) or hasattr(report, "wasxfail"):
        return
    lines = (ROOT / "tests" / "allowed_skips.txt").read_text().splitlines()
    allowed = [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]
    if not any(report.nodeid.startswith(name) for name in allowed):
        _unexpected_skips.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run for unexpected skips; a shard that happens to hold no test is fine."""
    if _unexpected_skips and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    if session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and session.config.getoption("shard") != "0/1":
        session.exitstatus = pytest.ExitCode.OK


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the skips that made the run fail."""
    for nodeid in sorted(set(_unexpected_skips)):
        terminalreporter.write_line(f"FAILED: skipped in CI without a line in tests/allowed_skips.txt: {nodeid}")


def pytest_addoption(parser: pytest.Parser) -> None:
    """--shard 2/6: only the tests whose id falls into the third of six parts."""
    parser.addoption("--shard", default="0/1", help="K/N: run the K-th (from 0) of N parts of the chosen tests")
