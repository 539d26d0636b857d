"""Team: the processes and devices that train one model together, and which rows of a batch each of them reads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convscope.errors import PlanError


@dataclass(frozen=True)
class Team:
    """One process' place among those that train one model by data parallelism.

    Every batch is the same pictures as in a lone process; each process reads its share of them. So the number of
    processes changes nothing but rounding, with one exception: a last batch that the devices can't share out evenly
    goes whole to each of them, where dropout is drawn anew and the running numbers count it once per device.

    Attributes:
        rank: this process, from 0; the first one alone writes the run folder.
        processes: how many train together.
        devices: how many devices each process has.
    """

    rank: int = 0
    processes: int = 1
    devices: int = 1

    @property
    def total(self) -> int:
        """Devices of all processes."""
        return self.processes * self.devices

    @property
    def is_first(self) -> bool:
        """Whether this process writes what the run leaves."""
        return self.rank == 0

    @property
    def is_alone(self) -> bool:
        """Whether there is nobody to share with."""
        return self.total == 1

    def rows(self, n: int) -> np.ndarray:
        """Which rows of a batch of n this process reads, in order: (m,) int64.

        An even share where n divides by all devices; else all rows, once for each of its devices.
        """
        if n % self.total:
            return np.tile(np.arange(n), self.devices)
        size = n // self.processes
        return np.arange(self.rank * size, (self.rank + 1) * size)

    def cuts(self, n: int, batch_size: int, *, even: bool = False) -> list[slice]:
        """Where an epoch of n pictures is cut into batches.

        Args:
            n: pictures.
            batch_size: of all processes together.
            even: cut a last batch that does not divide in two, so that fewer pictures than devices go to each of them;
                for validation, where it changes no picture's part in the result but theirs.
        """
        found = [slice(k, min(k + batch_size, n)) for k in range(0, n, batch_size)]
        over = (n % batch_size) % self.total
        if even and over and n % batch_size > over:
            found[-1:] = [slice(found[-1].start, n - over), slice(n - over, n)]
        return found

    def check(self, batch_size: int) -> None:
        """Refuse a batch that can't be shared out.

        Raises:
            PlanError: saying the nearest sizes.
        """
        if batch_size % self.total:
            low = batch_size // self.total * self.total
            near = f"{low} or {low + self.total}" if low else str(self.total)
            raise PlanError(
                f"expected a batch_size that {self.total} devices share evenly, got {batch_size}; take {near}"
            )


ALONE = Team()
