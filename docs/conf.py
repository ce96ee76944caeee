"""The site: Markdown pages, and one page of reference a package, made from the docstrings.

The docstrings are plain text with Google sections: an indented block after a blank line is a
formula or a table and is shown as it is.
"""

import inspect
import pathlib
import pkgutil
import re

import jdl

project, author, release = "jdl", "the authors of jdl", jdl.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme, html_title = "furo", "jdl"
default_role = "literal"
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_use_rtype = False
napoleon_custom_sections = [("Attributes", "params_style")]  # a list, not Sphinx objects
python_maximum_signature_line_length = 80

HERE = pathlib.Path(__file__).parent
SECTION = re.compile(r"\s*(Args|Attributes|Returns|Raises|Yields|Example|Examples|Note|Notes):$")


def write_reference_pages(app):
    """One page for each package, listing its modules, and their index."""
    rooms = {"jdl": []}
    for module in pkgutil.walk_packages(jdl.__path__, "jdl."):
        rooms.setdefault(module.name, []) if module.ispkg else rooms[
            module.name.rpartition(".")[0]
        ].append(module.name)
    folder = HERE / "api"
    folder.mkdir(exist_ok=True)
    for room, modules in rooms.items():
        blocks = [f"{room}\n{'=' * len(room)}\n\n.. automodule:: {room}\n"]
        blocks += [
            f"{name}\n{'-' * len(name)}\n\n.. automodule:: {name}\n   :members:\n"
            for name in sorted(modules)
        ]
        write(folder / f"{room}.rst", "\n".join(blocks))
    for page in folder.glob("jdl*.rst"):
        if page.stem not in rooms:
            page.unlink()
    write(
        folder / "index.rst",
        "Reference\n=========\n\n.. toctree::\n   :maxdepth: 1\n\n"
        + "".join(f"   {room}\n" for room in sorted(rooms)),
    )


def write(path, text):
    """Leaves an equal file alone, so that Sphinx reads only what changed."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def plain_text(app, what, name, thing, options, lines):
    """Marks formulas as literal blocks and takes the meaning of markup from the other lines."""
    result, block = [], None  # block: the indent that a literal block has left
    for i, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        before = next((x for x in reversed(lines[:i]) if x.strip()), "")
        depth = len(before) - len(before.lstrip())
        if block is not None and line.strip() and indent <= block:
            block = None
        fresh = i > 0 and not lines[i - 1].strip() and line.strip()
        if block is None and fresh and indent > depth and not SECTION.match(before):
            block = depth
            result += [" " * depth + "::", ""]
        quoted = block is not None or line.lstrip().startswith(">>>")
        result.append(line if quoted else escaped(line))
    lines[:] = result


def escaped(line):
    """Backslashes before what reStructuredText would read as markup, outside of backticks."""
    parts = line.split("`")
    return "`".join(
        part if i % 2 else re.sub(r"([*|\\])|(?<=\w)_(?!\w)", r"\\\g<0>", part)
        for i, part in enumerate(parts)
    )


def skip_fields(app, what, name, thing, skip, options):
    """The fields of a NamedTuple stand under Attributes of its docstring."""
    return True if str(getattr(thing, "__doc__", "")).startswith("Alias for field number") else None


def call_of_protocol(app, what, name, thing, options, signature, returns):
    """A Protocol is shown with the arguments of its call."""
    if not getattr(thing, "_is_protocol", False):
        return None
    call = inspect.signature(thing.__call__)
    arguments = [x.replace(annotation=x.empty) for x in call.parameters.values()][1:]
    return str(call.replace(parameters=arguments, return_annotation=call.empty)), returns


def setup(app):
    """Connects the functions above."""
    app.connect("builder-inited", write_reference_pages)
    app.connect("autodoc-process-docstring", plain_text, priority=400)  # napoleon has 500
    app.connect("autodoc-process-signature", call_of_protocol)
    app.connect("autodoc-skip-member", skip_fields)
