"""How long `import convscope` and `convscope --help` take, beside importing Keras itself."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.timing import alternate, markdown, publish, rows_against, seconds

COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import convscope": [sys.executable, "-c", "import convscope"],
    "convscope --help": [sys.executable, "-m", "convscope", "--help"],
    "import keras": [sys.executable, "-c", "import keras"],
}


def main() -> None:
    """Five rounds after one that fills the caches."""
    runs = {
        name: lambda command=command: seconds(lambda: subprocess.run(command, capture_output=True, check=True))
        for name, command in COMMANDS.items()
    }
    alternate(runs, rounds=1)
    header, rows = rows_against(alternate(runs, rounds=5), "python -c pass", unit="s")
    goal = "Goals: `import convscope` below 0.15 s (beyond Python's own start), `convscope --help` below 0.4 s."
    publish("start", "Start-up", [markdown(header, rows), goal])


if __name__ == "__main__":
    main()
