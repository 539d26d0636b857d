"""`convscope store`: the feature maps of a whole data set, by this process or by several, here or on a Ray cluster.

    python -m convscope.actions.store

is one of several: its order comes on standard input.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from convscope.actions.launching import Handle, open_launcher
from convscope.errors import ConvscopeError, PlanError, RunError
from convscope.files.journal import plain
from convscope.records.progress import Progress, silent

_LOOK_S = 0.5


def store_data(
    run: str,
    data: str,
    out: Path,
    layers: Sequence[str],
    *,
    keeping: dict[str, Any],
    processes: int = 1,
    launcher: str = "local",
    progress: Progress = silent,
) -> Any:
    """Write the maps of the chosen layers for all pictures; called again, it goes on where it stopped.

    Args:
        run: a run, a bundle or a .keras file.
        data: a path.
        out: the store.
        layers: names or patterns.
        keeping: fields of `scope.store.Keeping`; memory_mb is of each process.
        processes: how many write at once, each every so many-th block of pictures.
        launcher: where they run, "local" or "ray".
        progress: told what is done.

    Returns:
        The MapStore. What a lost process left undone is done here at the end.
    """
    if processes < 1:
        raise PlanError(f"expected at least 1 process, got {processes}")
    if processes > 1 or launcher != "local":
        order = {
            "run": run, "data": str(Path(data).resolve()), "out": str(out.resolve()), "layers": list(layers),
            "keeping": plain(keeping), "processes": processes,
        }  # fmt: skip
        _by_several(order, processes, launcher, progress)
    return _store(run, data, out, layers, keeping=keeping, part=(0, 1), progress=progress)


def _store(
    run: str, data: str, out: Path, layers: Sequence[str], *, keeping: dict[str, Any], part: Any, progress: Progress
) -> Any:  # fmt: skip
    from convscope.actions.inspect import fitting_samples
    from convscope.actions.look import Scope
    from convscope.scope.store import Keeping

    scope = Scope(run)
    samples = fitting_samples(scope, data)
    labels = samples.truth if samples.task == "classify" else None  # one number for each picture
    return scope.store(
        samples, out, list(layers), truth=labels, keeping=Keeping(**keeping), progress=progress, part=part
    )


def _by_several(order: dict[str, Any], processes: int, launcher: str, progress: Progress) -> None:
    from convscope.actions.opening import find_run
    from convscope.backend.selection import chosen_backend

    order = {**order, "run": str(find_run(order["run"]).resolve())}
    places = open_launcher(launcher, processes=processes, devices=1, backend=chosen_backend())
    running: list[Handle] = []
    failed: list[str] = []
    logs = Path(order["out"]).with_suffix(".logs")
    try:
        for rank in range(processes):
            log = logs / f"process-{rank}.log"
            running.append(places.start("convscope.actions.store", {**order, "rank": rank}, rank, log))
        while any(handle.poll() is None for handle in running):
            time.sleep(_LOOK_S)
            failed += _listen(running, progress)
        failed += _listen(running, progress)
        codes = [handle.poll() for handle in running]
    finally:
        for handle in running:
            if handle.poll() is None:
                handle.kill()
        places.close()
    if failed:
        raise RunError(failed[0])
    if all(codes):
        raise RunError(f"all {processes} processes that store maps were lost; see {logs}")


def _listen(running: Sequence[Handle], progress: Progress) -> list[str]:
    """Pass on the first process' progress; errors of any."""
    failed = []
    for rank, handle in enumerate(running):
        for said in handle.heard():
            if "error" in said:
                failed.append(str(said["error"]))
            elif rank == 0 and "progress" in said:
                what, done, total = said["progress"]
                progress(str(what), int(done), int(total))
    return failed


def main(orders: TextIO, answers: TextIO) -> int:
    """Store one part."""
    order = json.loads(orders.readline())

    def say(**facts: Any) -> None:
        answers.write(json.dumps(facts) + "\n")
        answers.flush()

    try:
        _store(
            order["run"], order["data"], Path(order["out"]), order["layers"], keeping=order["keeping"],
            part=(order["rank"], order["processes"]),
            progress=lambda what, done, total: say(progress=[what, done, total]),
        )  # fmt: skip
    except ConvscopeError as error:
        say(error=str(error))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.stdin, sys.stdout))
