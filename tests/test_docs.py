"""The code that the pages show runs, the addresses they give exist, and the site builds."""

import importlib.util
import os
import pathlib
import pkgutil
import re
import subprocess
import sys
import tomllib

import jax
import jax.numpy as jnp
import pytest

import jdl
from jdl.core import Variables

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = sorted(
    path for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")] if "_build" not in path.parts
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def code_of(page):
    """The fenced Python of a page, without what stands under `<!-- not run -->`."""
    fence = r"^(<!-- not run -->\n)?```python\n(.*?)^```"
    found = re.findall(fence, page.read_text(), re.MULTILINE | re.DOTALL)
    return [code for mark, code in found if not mark]


def named(page):
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [p for p in PAGES if code_of(p) and p.parent != ROOT], ids=named)
def test_the_code_of_a_page_runs_from_top_to_bottom(page):
    program = compile("\n".join(code_of(page)), named(page), "exec")
    with jax.numpy_rank_promotion("allow"):  # as in a session of a user
        exec(program, {"__name__": page.stem})


def test_the_example_of_the_readme_learns_and_knows_where_it_does_not_know():
    found = {"__name__": "readme"}
    with jax.numpy_rank_promotion("allow"):
        exec("\n".join(code_of(ROOT / "README.md")), found)
        at = jnp.array([[-0.6], [0.0], [0.6]])
        apply = jax.vmap(lambda params: found["model"].apply(Variables(params), at)[0][:, 0])
        truth = jnp.sin(4 * at[:, 0])
        ten, draws = apply(found["ten"].best.params), jax.vmap(apply)(found["sampled"].draws)
    assert ten.shape == (10, 3) and draws.shape == (4, 300, 3)
    assert found["sampled"].diagnosis.functions.r_hat < 1.05
    draws = draws.reshape(-1, 3)
    assert jnp.abs(ten.mean(0) - truth).max() < 0.1  # the standard deviation of the noise
    # Of the network the residual holds the noise, 0.01, less what 49 weights take up of it.
    assert 0.005 < found["one"].history["loss"][-1] < 0.015
    left, gap, right = draws.std(0)
    assert gap > 2 * max(left, right)
    assert jnp.all(jnp.abs(draws.mean(0) - truth) < 3 * draws.std(0))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_into_the_repository_lead_somewhere(page):
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    inside = [link.partition("#")[0] for link in links if "://" not in link]
    assert [link for link in inside if link and not (page.parent / link).exists()] == []


def test_the_readme_shows_a_picture_that_is_there():
    pictures = re.findall(r"!\[[^\]]+\]\((docs/images/[^)]+)\)", (ROOT / "README.md").read_text())
    assert pictures and all((ROOT / picture).stat().st_size < 300_000 for picture in pictures)


def test_extras_named_on_the_pages_are_those_of_the_package():
    named = re.findall(r"jdl\[([a-z,]+)\]|'\.\[([a-z,]+)\]'", "".join(p.read_text() for p in PAGES))
    wanted = {extra for pair in named for extra in "".join(pair).split(",")}
    assert wanted and wanted <= set(PROJECT["optional-dependencies"])


def test_the_site_builds_without_a_warning_and_documents_every_module(tmp_path):
    if importlib.util.find_spec("sphinx") is None:
        stop = pytest.fail if "CI" in os.environ else pytest.skip
        stop("sphinx is not installed: pip install -e '.[docs]'")
    modules = [module.name for module in pkgutil.walk_packages(jdl.__path__, "jdl.")]
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", ROOT / "docs", tmp_path],
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    reference = "".join(page.read_text() for page in (tmp_path / "api").glob("*.html"))
    assert [name for name in modules if f'id="module-{name}"' not in reference] == []
