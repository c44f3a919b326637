"""Shows scripts as pages of the site: the tutorial, and the examples one below the other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

_ROOT = Path(__file__).parents[1]
_SOURCE = "https://github.com/worldmodel/worldmodel/blob/main/examples"
_ORDER = ("plan_an_episode", "own_energy", "own_planner", "own_environment", "train_from_arrays")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages to those that are written in Markdown."""
    for name, content in (("tutorial.md", tutorial()), ("examples.md", examples())):
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Lead links to the scripts, which work in the repository, to their pages."""
    markdown = markdown.replace("](tutorial.py)", "](tutorial.md)")
    return re.sub(
        r"\]\(\.\./examples/(\w+)\.py\)",
        lambda found: f"](examples.md#{found[1].replace('_', '-')})",
        markdown,
    )


def tutorial() -> str:
    """The tutorial: cells of Markdown as text, others as code."""
    script = (_ROOT / "docs/tutorial.py").read_text()
    pages = []
    for kind, cell in re.findall(r"^# %%([^\n]*)\n(.*?)(?=^# %%|\Z)", script, re.M | re.S):
        if "markdown" in kind:
            pages.append(re.sub(r"^# ?", "", cell, flags=re.M).strip())
        else:
            pages.append(f"```python\n{cell.strip()}\n```")
    return "\n\n".join(pages) + "\n"


def examples() -> str:
    """The examples: usage first, then the code."""
    pages = ["# Examples\n\nShort scripts that use public names only. A test runs each of them."]
    for name in _ORDER:
        text = (_ROOT / f"examples/{name}.py").read_text()
        _, told, code = text.split('"""', 2)
        title, _, rest = told.strip().partition("\n\n")
        heading = name.replace("_", " ").capitalize()
        pages.append(
            f"## {heading}\n\n{title}\n\n{rest}\n\n[{name}.py]({_SOURCE}/{name}.py)\n\n"
            f"```python\n{code.strip()}\n```"
        )
    return "\n\n".join(pages) + "\n"
