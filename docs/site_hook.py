"""Make pages of the site out of files that stand elsewhere, and have every link work on GitHub and there.

MkDocs calls ``on_files`` and ``on_page_markdown`` (mkdocs.yml names this file).
"""

import json
import posixpath
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
# page of the site -> its file in the repository; every other page is the file of its name in docs
ELSEWHERE = {
    "index.md": "README.md",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "notebook.md": "docs/notebook.ipynb",
}
PAGES = {file: page for page, file in ELSEWHERE.items()}
# code, in which nothing is a link; or a link
LINK = re.compile(
    r"^ *```.*?^ *```$|`[^`\n]*`|(!?)\[([^\]]*)\]\(([\w./-]+)(#[^)]*)?\)", re.MULTILINE | re.DOTALL
)


def on_files(files: Any, config: Any) -> Any:
    """Add the pages of files that stand elsewhere."""
    from mkdocs.structure.files import File  # here, so that the tests need no MkDocs

    for page, file in ELSEWHERE.items():
        text = (ROOT / file).read_text(encoding="utf-8")
        content = notebook(text) if file.endswith(".ipynb") else text
        files.append(File.generated(config, page, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Return the text of a page with links that hold on the site."""
    inside = {file.src_uri for file in files}
    return linked(markdown, page.file.src_uri, inside, config.repo_url or "")


def linked(markdown: str, page: str, inside: Collection[str], repository: str) -> str:
    """Return the text with links to files of the site where they are there, others to the repository.

    Without the address of a repository, their words alone are left.
    """
    folder = posixpath.dirname(ELSEWHERE.get(page, f"docs/{page}"))

    def link(match: re.Match[str]) -> str:
        picture, words, target, place = match.groups()
        if target is None:
            return match[0]
        file = posixpath.normpath(posixpath.join(folder, target))
        uri = PAGES.get(file, file.removeprefix("docs/"))
        if uri in inside:
            return f"{picture}[{words}]({posixpath.relpath(uri, posixpath.dirname(page))}{place or ''})"
        if repository:
            return f"[{words}]({repository.rstrip('/')}/blob/HEAD/{file}{place or ''})"
        return words if "`" in words or " " in words else f"`{words}`"

    return LINK.sub(link, markdown)


def notebook(text: str) -> str:
    """Return a notebook as Markdown: its cells, and the best form of each output."""
    parts = ['<a href="notebook.ipynb" download>The notebook as a file.</a>']
    for cell in json.loads(text)["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        for output in cell.get("outputs", ()):
            data = {form: "".join(lines) for form, lines in output.get("data", {}).items()}
            if "image/png" in data:
                parts.append(f"![A picture](data:image/png;base64,{data['image/png'].replace(chr(10), '')})")
            elif "text/html" in data:
                parts.append(data["text/html"].strip())
            else:
                plain = data.get("text/plain") or "".join(output["text"])
                parts.append(f"```text\n{plain.rstrip()}\n```")
    return "\n\n".join(parts) + "\n"
