"""The notebooks run from top to bottom, in a kernel of their own."""

import base64
import pathlib
import re

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = pathlib.Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "colab").glob("*.ipynb"))


def read(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_without_outputs(path):
    cells = [cell for cell in read(path).cells if cell.cell_type == "code"]
    assert [cell.id for cell in cells if cell.outputs or cell.execution_count] == []


@pytest.mark.parametrize(
    "path",
    [NOTEBOOKS[0], *(pytest.param(path, marks=pytest.mark.slow) for path in NOTEBOOKS[1:])],
    ids=lambda path: path.stem,
)
def test_a_notebook_runs_and_shows_pictures(path):
    notebook = NotebookClient(
        read(path), timeout=300, resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    pictures = [
        output.data["image/png"] for output in outputs if "image/png" in output.get("data", {})
    ]
    assert pictures
    for picture in pictures:
        assert base64.b64decode(picture).startswith(b"\x89PNG") and len(picture) > 10_000


def test_the_quickstart_is_the_example_of_the_readme():
    fence = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
    example = fence.search((ROOT / "README.md").read_text())[1]
    named = {cell.id: cell.source for cell in read(ROOT / "colab/01_quickstart.ipynb").cells}
    shown = [named[name] for name in ["data", "one", "ten", "posterior", "predict"]]
    assert "\n\n".join(shown) + "\n" == example


def test_nothing_is_installed_outside_of_colab():
    for path in NOTEBOOKS:
        install = next(cell.source for cell in read(path).cells if "pip install" in cell.source)
        before = install.partition("%pip install")[0]
        assert 'if "google.colab" in sys.modules:' in before and before.endswith("    ")
