"""Where a result comes from: made first, copied along, printed small below every figure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Provenance:
    """Facts that let somebody else make the same result again.

    `data` and `model` are words ("cls-sign-digits, 301 pictures"); the hashes are SHA-256 in hexadecimal.
    """

    data: str = ""
    data_sha256: str = ""
    model: str = ""
    model_sha256: str = ""
    seed: int | None = None
    backend: str = ""
    versions: tuple[tuple[str, str], ...] = ()

    def line(self) -> str:
        """One line for below a figure."""
        parts = [
            f"data {self.data}" if self.data else "",
            f"sha256 {self.data_sha256[:8]}" if self.data_sha256 else "",
            f"model {self.model}" if self.model else "",
            f"sha256 {self.model_sha256[:8]}" if self.model_sha256 else "",
            f"seed {self.seed}" if self.seed is not None else "",
            f"back end {self.backend}" if self.backend else "",
            *(f"{name} {version}" for name, version in self.versions),
        ]
        return " · ".join(p for p in parts if p)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON form."""
        return {**asdict(self), "versions": dict(self.versions)}

    @classmethod
    def from_dict(cls, facts: dict[str, Any]) -> Provenance:
        """Read what `as_dict` wrote; unknown keys of a newer version are left out."""
        known = {k: v for k, v in facts.items() if k in cls.__dataclass_fields__}
        known["versions"] = tuple(dict(known.get("versions") or {}).items())
        return cls(**known)
