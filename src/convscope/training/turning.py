"""Small callbacks of one run: tell the feed which epoch comes, count, say how far it is."""

from __future__ import annotations

from typing import Any

from convscope.backend.malloc import keep_freed_blocks
from convscope.backend.selection import load_keras
from convscope.records.progress import Progress
from convscope.training.callbacks import Journal, plain_logs
from convscope.training.feed import Feed
from convscope.training.state import RunState

keras = load_keras()

_Callback: Any = keras.callbacks.Callback


class Turn(_Callback):
    """Tell the feed which epoch comes, since Keras asks only for batch numbers."""

    def __init__(self, feed: Feed, first_epoch: int) -> None:
        """`first_epoch` epochs were done before Keras' epoch 0."""
        super().__init__()
        self._feed, self._first = feed, first_epoch

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Turn to this epoch; a resumed one keeps its start."""
        self._feed.begin_epoch(self._first + epoch)


class Count(_Callback):
    """Keep the run's state up to date: batches, epochs, rows."""

    def __init__(self, state: RunState, journal: Journal, epochs: int) -> None:
        """`journal`, called before, has made the epoch's row; the phase has so many epochs."""
        super().__init__()
        self._state, self._journal, self._epochs = state, journal, epochs

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """One more batch of this epoch."""
        self._state.batch += 1

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """One more epoch."""
        self._state.batch = 0
        self._state.phase_epochs += 1
        self._state.rows.append(dict(self._journal.rows[-1]))
        if self._state.phase_epochs >= self._epochs:
            self._state.ended = "epochs"


class FreedBlocks(_Callback):
    """On TensorFlow, let the memory of one step serve the next; its data sets undo that whenever one begins."""

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """After the first step of each fit and epoch."""
        if not batch:
            keep_freed_blocks()


class Bar(_Callback):
    """Pass every step on to a progress listener, counted over the whole phase, and each epoch's numbers in words."""

    def __init__(self, progress: Progress, what: str, epochs: int, steps: int) -> None:
        """`what` names the phase, which has so many epochs of so many steps."""
        super().__init__()
        self._progress, self._what, self._epochs, self._steps = progress, what, epochs, steps
        self._before = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Count what is done already; a resumed epoch has fewer steps left."""
        self._before = (epoch + 1) * self._steps - ((self.params or {}).get("steps") or self._steps)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """One more step."""
        self._progress(self._what, self._before + batch + 1, self._epochs * self._steps)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """The epoch's numbers, validation included."""
        numbers = ", ".join(f"{name} {value:.3g}" for name, value in plain_logs(logs).items())
        self._progress(f"{self._what}, epoch {epoch + 1}/{self._epochs}: {numbers}", 0, 0)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Training that ended early is done, too."""
        if self.model.stop_training:
            self._progress(self._what, self._before + self._steps, self._before + self._steps)
