"""One of several processes that train together: `python -m convscope.actions.together_worker`, its order on stdin."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
from typing import Any, TextIO

from convscope.backend.distribution import join
from convscope.errors import ConvscopeError
from convscope.records.team import Team
from convscope.training.plan import Plan


def work(order: dict[str, Any], progress: Any) -> None:
    """Join the others, then train, or go on, as one of them."""
    team: Team = join(
        address=order["address"], processes=order["processes"], rank=order["rank"], devices=order["devices"]
    )
    from convscope.actions.resume import resume_run  # not before: they load Keras, which computes
    from convscope.actions.train import train

    if order["resume"]:
        resume_run(order["out"], data=order["data"], changes=order["changes"], progress=progress, team=team)
        return
    train(
        order["data"], plan=Plan(**order["plan"]), out=order["out"], name=order["name"], notes=order["notes"],
        continue_from=order["continue_from"], progress=progress, team=team,
    )  # fmt: skip


def main() -> int:
    """Read the order, work, say how it went."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print goes to the log
    lock = threading.Lock()

    def say(**facts: Any) -> None:
        with lock:
            answers.write(json.dumps(facts) + "\n")
            answers.flush()

    order = json.loads(sys.stdin.readline())
    threading.Thread(target=_stop_with, args=(sys.stdin,), daemon=True).start()
    try:
        work(order, lambda what, done, total: say(progress=[what, done, total]))
    except ConvscopeError as error:
        say(error=str(error), kind=type(error).__name__)
        return 2
    except KeyboardInterrupt as stop:
        return int(getattr(stop, "exit_code", 130))
    except Exception:  # noqa: BLE001 - whoever started this looks at the code; a lost peer comes as any error
        traceback.print_exc()
        return 1
    return 0


def _stop_with(starter: TextIO) -> None:
    """When the starter's end of the pipe closes, it is gone: stop with a checkpoint."""
    starter.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # JAX' own ending would wait for processes that may be gone
