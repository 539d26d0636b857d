"""What all tests share: one back end per process, the real pictures where they are, seeds, no network."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# as convscope starts TensorFlow: the same numbers on every processor, and channels_first on all of them
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

pytest_plugins = ["turns"]

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
    """Leave slow tests, and so those of hours, out unless -m names them."""
    asked = config.getoption("markexpr") or ""
    if "slow" in asked or "hours" in asked:
        return
    if slow := [item for item in items if item.get_closest_marker("slow")]:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if not item.get_closest_marker("slow")]


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
    """Fail the run for unexpected skips."""
    if _unexpected_skips and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the skips that made the run fail."""
    for nodeid in sorted(set(_unexpected_skips)):
        terminalreporter.write_line(f"FAILED: skipped in CI without a line in tests/allowed_skips.txt: {nodeid}")
