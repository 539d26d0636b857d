"""One of several processes that train together, which sends a signal at a given step of training, once.

$CONVSCOPE_TEST_SIGNAL is {"rank": 1, "step": 6, "signal": 9, "to": "self", "marker": FILE}; "parent" gets it instead of
"self", and the process then waits until it has been heard of.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from convscope.actions import together_worker

ORDER = json.loads(os.environ["CONVSCOPE_TEST_SIGNAL"])


def work(order: dict[str, Any], progress: Any) -> None:
    if order["rank"] == ORDER["rank"]:
        progress = watched(progress)
    WORK(order, progress)


def watched(progress: Any) -> Any:
    def listen(what: str, now: int, total: int) -> None:
        progress(what, now, total)
        marker = Path(ORDER["marker"])
        if what == "train" and now == ORDER["step"] and not marker.exists():
            marker.write_text("")
            to_itself = ORDER["to"] == "self"
            os.kill(os.getpid() if to_itself else os.getppid(), ORDER["signal"])
            time.sleep(3)

    return listen


WORK, together_worker.work = together_worker.work, work

if __name__ == "__main__":
    os._exit(together_worker.main())
