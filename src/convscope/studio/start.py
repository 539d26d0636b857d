"""Start the studio on this computer: a free port, a link with a token, nothing reachable from outside."""

from __future__ import annotations

import importlib
import secrets
import socket
import threading
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from convscope.actions.opening import RUNS
from convscope.errors import MissingExtraError, StorageError

HOST = "127.0.0.1"
BUILD = "make studio"
WARM_AFTER_S = 5.0


def page_folder() -> Path | None:
    """Where the built page lies: beside this module when installed, below web/ in a checkout; None for nowhere."""
    here = Path(__file__).resolve()
    for folder in (here.parent / "page", here.parents[3] / "web" / "dist"):
        if (folder / "index.html").is_file():
            return folder
    return None


def serve(
    given: Sequence[str | Path] = (),
    *,
    port: int = 0,
    runs: Path = RUNS,
    ready: Callable[[str], None] = lambda link: None,
) -> None:
    """Serve the studio until it is stopped.

    Args:
        given: runs, models and data to open.
        port: of the loopback address; 0 takes a free one.
        runs: folder of runs.
        ready: told the link as soon as the port listens.

    Raises:
        MissingExtraError: the extra `studio` is not installed.
        StorageError: the page has not been built, or the port is taken.
        DataNotFoundError, RunError: something given is not there.
    """
    if find_spec("fastapi") is None or find_spec("uvicorn") is None:
        raise MissingExtraError("the studio needs FastAPI and uvicorn; install them: pip install 'convscope[studio]'")
    page = page_folder()
    if page is None:
        raise StorageError(f"the studio's page has not been built in this checkout; build it: {BUILD}")
    import uvicorn

    from convscope.studio.app import build_app
    from convscope.studio.places import Places

    places = Places(given, runs)
    door = _bound(port)
    number = door.getsockname()[1]
    token = secrets.token_urlsafe(32)
    hosts = (f"{HOST}:{number}", f"localhost:{number}")
    app = build_app(places, token=token, hosts=hosts, cookie=f"convscope-{number}", page=page)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,  # a log of addresses would hold the token
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=2,
        h11_max_incomplete_event_size=16 << 10,
    )
    threading.Thread(target=_warm, args=(app.state.desk.asked,), name="warm", daemon=True).start()
    ready(f"http://{HOST}:{number}/?token={token}")
    uvicorn.Server(config).run(sockets=[door])


def _warm(asked: threading.Event) -> None:
    """Import what the first look inside needs: seconds of work, begun when the page stands and asks its first question.

    Before that it would only keep the page's own files waiting; where no page comes, it begins all the same.
    """
    asked.wait(WARM_AFTER_S)
    for name in ("convscope.actions.look", "convscope.studio.layers", "convscope.studio.maps"):
        importlib.import_module(name)


def _bound(port: int) -> socket.socket:
    door = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind((HOST, port))
        door.listen(128)  # before the link is told: who opens it at once waits instead of being refused
    except (OSError, OverflowError) as error:
        door.close()
        raise StorageError(f"port {port} is taken or may not be used; choose another, or leave --port out") from error
    return door
