"""Epochs as plain files in the run folder: metrics.csv for spreadsheets, metrics.jsonl for programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convscope.files.atomic import write_text
from convscope.files.journal import plain, read_journal
from convscope.training.tracking import Seen, Start

_LEFT_OUT = ("event", "step", "time", "clock_s")


def _rows(folder: Path) -> list[dict[str, Any]]:
    """One row per epoch from the journal; of an epoch that was repeated after a kill the last one."""
    rows = {}
    for event in read_journal(folder):
        if event["event"] == "epoch":
            rows[event["epoch"]] = {k: v for k, v in event.items() if k not in _LEFT_OUT}
    return [rows[number] for number in sorted(rows)]


class Csv:
    """metrics.csv, written anew after each epoch, so that a killed run leaves a whole one."""

    wants_pictures = False

    def begin(self, start: Start) -> None:
        """Remember the folder."""
        self._folder = start.folder

    def epoch(self, seen: Seen) -> None:
        """Write all epochs so far; a column that some epochs lack is empty there."""
        rows = _rows(self._folder)
        names = list(dict.fromkeys(name for row in rows for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self._folder / "metrics.csv", text.getvalue())

    def close(self, final: Mapping[str, float]) -> None:
        """Nothing is open."""


class Jsonl:
    """metrics.jsonl: one JSON object per epoch."""

    wants_pictures = False

    def begin(self, start: Start) -> None:
        """Remember the folder."""
        self._folder = start.folder

    def epoch(self, seen: Seen) -> None:
        """Write all epochs so far."""
        lines = [json.dumps(plain(row)) + "\n" for row in _rows(self._folder)]
        write_text(self._folder / "metrics.jsonl", "".join(lines))

    def close(self, final: Mapping[str, float]) -> None:
        """Nothing is open."""
