"""The page's own tests (Vitest) and its lock file."""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WEB = ROOT / "web"


def building():
    """hatch_build.py, which finds node."""
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.mark.timeout(300)
def test_the_pages_own_logic():
    if not (WEB / "node_modules" / "vitest").is_dir():
        pytest.skip("the page's packages are not installed: make studio")
    building().run_npm(["test"], WEB)  # raises when one fails


def test_the_lock_file_names_no_registry():
    lock = json.loads((WEB / "package-lock.json").read_text(encoding="utf-8"))
    assert len(lock["packages"]) > 40
    assert [name for name, one in lock["packages"].items() if "resolved" in one] == []
    assert all("integrity" in one for name, one in lock["packages"].items() if name)


def test_the_packages_of_the_page_are_in_the_docs():
    package = json.loads((WEB / "package.json").read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8").lower()
    assert [name for name in package["devDependencies"] if name not in page] == []
