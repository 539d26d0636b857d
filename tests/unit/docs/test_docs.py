"""The docs can't drift: links lead somewhere, every command and option is named, code compiles."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from convscope.cli.app import COMMANDS
from convscope.training.plan import template

ROOT = Path(__file__).resolve().parents[3]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), *sorted(ROOT.glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    missing = [t for t in targets if "://" not in t and not (page.parent / t).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_python_blocks_compile(page: Path) -> None:
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.S):
        compile(block, str(page), "exec")


def test_the_readme_names_every_command() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f"convscope {name}" not in text and f"demo {name}" not in text] == []


def test_the_plan_page_is_the_template() -> None:
    """Mend it with: convscope plan > plan.toml, and put that into the page's block."""
    page = (ROOT / "docs" / "plan.md").read_text(encoding="utf-8")
    assert template().strip() in page


def test_every_dependency_has_a_reason() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [re.match(r"[A-Za-z0-9-]+", d).group().lower() for d in project["dependencies"]]  # type: ignore[union-attr]
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8").lower()
    assert [n for n in named if n not in page] == []
    assert [extra for extra in project["optional-dependencies"] if f"`{extra}`" not in page] == []
