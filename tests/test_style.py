"""The rules of the code that a program can check: see the messages. Each checker is tested too."""

import ast
import builtins
import graphlib
import pathlib
import re
import statistics
from typing import NamedTuple

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROOMS = [
    {"core", "functional", "stacks", "draws", "adapters", "summary"},
    {"nn"},
    {"data", "text", "metrics", "decoding"},
    {"train"},
    {"models", "bayes", "rl"},
    {"explain", "plot"},
    {"recipes"},
    {"cli", "__main__"},
]
ABOVE_CORE = 1  # the rank of `jdl` itself, whose __init__ imports the core
RANKS = {room: rank for rank, rooms in enumerate(ROOMS) for room in rooms}
FORBIDDEN_MODULES = re.compile(
    r"^(utils?|helpers?|common|misc|tools|base|_src|.*trainer|callbacks?)$"
)
FORBIDDEN_NAMES = {
    "PRNGKey": "use jax.random.key",
    "NotImplementedError": "leave out what does not work",
    **dict.fromkeys(
        ["nnx.jit", "nnx.grad", "nnx.value_and_grad", "nnx.vmap", "nnx.scan", "nnx.remat"],
        "use the transform of jax on a functional Model",
    ),
    **dict.fromkeys(
        ["nnx.Optimizer", "nnx.ModelAndOptimizer", "nnx.Metric", "nnx.MultiMetric"],
        "use an Optax transform and jdl.metrics",
    ),
}
ONLY_FUNCTIONAL = {
    f"nnx.{name}"
    for name in (
        "split merge state update graphdef clone eval_shape to_pure_dict replace_by_pure_dict"
    ).split()
}
JIT_PLACES = (
    "functional.py",
    "draws.py",
    "summary.py",
    "train/fit.py",
    "train/dispatch.py",
    "train/benchmark.py",
    "bayes/sampling.py",
)
BASES = {"nnx.Module", "NamedTuple", "Protocol"}
EXCEPTIONS = {
    name
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, Exception)
}
# Heavy or optional: imported inside the function that needs them, or in these rooms.
LAZY = {
    "numpyro": ("bayes/", "recipes/"),
    **dict.fromkeys(
        (
            "matplotlib sklearn scipy tyro equinox gymnasium arviz safetensors h5py "
            "huggingface_hub keras torch transformers tokenizers nltk vaderSentiment "
            "sentencepiece simplemma"
        ).split(),
        (),
    ),
}
FUNCTION_LINES, MEDIAN_LINES, FILE_LINES = 60, 12, 400


class Source(NamedTuple):
    """A file of the library: its path below jdl/, its text, its tree."""

    path: str
    text: str
    tree: ast.Module

    @property
    def module(self):
        return ".".join(["jdl", *self.path.removesuffix(".py").split("/")]).removesuffix(
            ".__init__"
        )


def parse(path, text):
    return Source(path, text, ast.parse(text))


def library():
    files = sorted((ROOT / "jdl").rglob("*.py"))
    return [parse(f.relative_to(ROOT / "jdl").as_posix(), f.read_text()) for f in files]


def names(tree):
    """(line, dotted name) of all names and attributes that are read."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute):
            yield node.lineno, ast.unparse(node)


def imports(tree):
    """(line, module, name or None) of every import, those inside of functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from ((node.lineno, module, alias.name) for alias in node.names)


def functions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def lines_of(function):
    """Lines from `def` to the end, without the docstring."""
    lines = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is not None:
        lines -= function.body[0].end_lineno - function.body[0].lineno + 1
    return lines


def undocumented(source):
    def walk(node, name):
        if ast.get_docstring(node) is None:
            yield getattr(node, "lineno", 1), f"{name} has no docstring"
        for child in node.body:
            public = isinstance(child, ast.ClassDef | ast.FunctionDef) and (
                not child.name.startswith("_") or child.name == "__call__"
            )
            if public and not isinstance(node, ast.FunctionDef):
                yield from walk(child, child.name)

    yield from walk(source.tree, "the module")


def misnamed(source):
    for part in source.path.removesuffix(".py").split("/"):
        if FORBIDDEN_MODULES.match(part):
            yield 1, f"a module named {part!r}: name it after its subject"


def too_long(source):
    count = len(source.text.splitlines())
    if count > FILE_LINES:
        yield 1, f"{count} lines; a file has at most {FILE_LINES}"
    for function in functions(source.tree):
        if lines_of(function) > FUNCTION_LINES:
            yield (
                function.lineno,
                f"{function.name} has {lines_of(function)} lines; a function has at most "
                f"{FUNCTION_LINES} without its docstring",
            )


def inherits(source):
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.ClassDef):
            continue
        for base in map(ast.unparse, node.bases):
            rngs = base in ("nnx.Rngs", "nnx.RngStream") and source.path == "functional.py"
            if base not in BASES | EXCEPTIONS and not rngs:
                yield node.lineno, f"{node.name} derives from {base}; only {sorted(BASES)} may be"


def forbidden(source):
    for line, name in names(source.tree):
        for wrong, remedy in FORBIDDEN_NAMES.items():
            if name == wrong or name.endswith("." + wrong):
                yield line, f"{name}: {remedy}"
        if name in ONLY_FUNCTIONAL and source.path not in ("functional.py", "stacks.py"):
            yield line, f"{name}: only functional.py and stacks.py split and merge modules"
    for line, module, name in imports(source.tree):
        if name == "*" or module.startswith("."):
            yield line, "import names, by absolute modules"
        if module.startswith("flax.nnx") or (module, name) == ("jax", "jit"):
            yield line, f"{module}: write `from flax import nnx`, `import jax`; the rules see that"


def jitted(source):
    allowed = source.path in JIT_PLACES or source.path.startswith("recipes/")
    for line, name in names(source.tree):
        if name in {"jax.jit", "eqx.filter_jit", "jax.pjit"} and not allowed:
            yield line, f"{name}: drivers jit ({', '.join(JIT_PLACES)}, recipes), libraries do not"
        if name == "jax.pmap" and source.path != "train/parallel.py":
            yield line, "jax.pmap: only train/parallel.py"


def sloppy(source):
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Assert):
            yield node.lineno, "assert: raise ValueError for a caller's mistake, test the rest"
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else "everything"
            again = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
            if caught in {"everything", "Exception", "BaseException"} and not again:
                yield node.lineno, f"catches {caught}: name the error, or raise it again"
    for line, text in enumerate(source.text.splitlines(), 1):
        for word in ("TODO", "FIXME", "XXX", "type: ignore"):
            if re.search(rf"#.*\b{word}\b", text):
                yield line, f"{word} in a comment"


def private(source):
    for line, module, name in imports(source.tree):
        parts = [*module.split("."), *([name] if name else [])]
        hidden = [part for part in parts if part.startswith("_") and part != "__future__"]
        if hidden:
            yield line, f"imports {hidden[0]} of {module}, which is private"
    modules = {
        name for _, module, name in imports(source.tree) if module.startswith("jdl") and name
    }
    for line, name in names(source.tree):
        owner, *rest = name.split(".")
        if owner in modules and rest and re.match(r"_(?!asdict|replace|fields|make|_)", rest[0]):
            yield line, f"{name} is private to {owner}"


def eager(source):
    unread = [n for n in source.tree.body if ast.unparse(n).startswith("if TYPE_CHECKING:")]
    inside = {
        line
        for node in functions(source.tree) + unread
        for line in range(node.lineno, node.end_lineno + 1)
    }
    for line, module, _ in imports(source.tree):
        package = module.split(".")[0]
        if package in LAZY and line not in inside and not source.path.startswith(LAZY[package]):
            yield line, f"imports {package} with the module: import it inside the function"


def upward(source):
    room = source.path.split("/")[0].removesuffix(".py")
    if room == "__init__":
        return
    if room not in RANKS:
        yield 1, f"a room {room!r} that RANKS of this test does not know"
        return
    for line, module, _ in imports(source.tree):
        package, _, rest = module.partition(".")
        if package == "jdl":
            other = rest.split(".")[0]
            if RANKS.get(other, ABOVE_CORE) > RANKS[room]:
                yield line, f"{room} imports {module}; the order is {order()}"


def order():
    return " < ".join(", ".join(sorted(rooms)) for rooms in ROOMS)


CHECKERS = [
    undocumented,
    misnamed,
    too_long,
    inherits,
    forbidden,
    jitted,
    sloppy,
    private,
    eager,
    upward,
]


def cycle(sources):
    """The modules of an import cycle, or nothing. Packages count as what their files import."""
    known = {source.module for source in sources}
    graph = {}
    for source in sources:
        targets = set()
        for _, module, name in imports(source.tree):
            targets |= {module, f"{module}.{name}"} & known
        graph[source.module] = targets - {"jdl"}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


@pytest.fixture(scope="module")
def sources():
    return library()


@pytest.mark.parametrize("checker", CHECKERS)
def test_the_library_has_nothing_that_is(checker, sources):
    found = [f"jdl/{s.path}:{line}: {said}" for s in sources for line, said in checker(s)]
    assert not found, "\n".join(["", *found])


def test_imports_have_no_cycle(sources):
    assert not cycle(sources), " -> ".join(cycle(sources))


def test_the_median_function_is_short(sources):
    lengths = [lines_of(function) for source in sources for function in functions(source.tree)]
    assert statistics.median(lengths) <= MEDIAN_LINES


BAD = [
    (undocumented, "nn/x.py", "'''Doc.'''\ndef f(): pass", "nn/x.py:2: f has no docstring"),
    (undocumented, "nn/x.py", "x = 1", "nn/x.py:1: the module has no docstring"),
    (undocumented, "nn/x.py", "'''D.'''\nclass A:\n '''D.'''\n def f(self): pass", "4: f has no"),
    (misnamed, "train/utils.py", "", "'utils'"),
    (misnamed, "train/helpers/x.py", "", "'helpers'"),
    (too_long, "nn/x.py", "x = 1\n" * 401, "401 lines"),
    (too_long, "nn/x.py", "def f():\n" + " x = 1\n" * 61, "f has 62 lines"),
    (inherits, "nn/x.py", "class A(Linear): pass", "A derives from Linear"),
    (forbidden, "nn/x.py", "k = jax.random.PRNGKey(0)", "use jax.random.key"),
    (forbidden, "nn/x.py", "f = nnx.jit(g)", "nnx.jit: use the transform of jax"),
    (forbidden, "train/x.py", "a, b = nnx.split(m)", "only functional.py and stacks.py split"),
    (forbidden, "nn/x.py", "from jax.numpy import *", "import names"),
    (forbidden, "nn/x.py", "from . import y", "by absolute modules"),
    (forbidden, "nn/x.py", "from jax import jit", "the rules see that"),
    (jitted, "models/x.py", "@jax.jit\ndef f(): pass", "x.py:1: jax.jit: drivers jit"),
    (jitted, "train/run.py", "f = jax.pmap(g)", "only train/parallel.py"),
    (sloppy, "nn/x.py", "try:\n f()\nexcept Exception:\n pass", "x.py:3: catches Exception"),
    (sloppy, "nn/x.py", "try:\n f()\nexcept:\n pass", "catches everything"),
    (sloppy, "nn/x.py", "try:\n f()\nexcept Exception:\n raise ValueError", "raise it again"),
    (sloppy, "nn/x.py", "assert x", "raise ValueError"),
    (sloppy, "nn/x.py", "x = 1  # TODO later", "TODO in a comment"),
    (sloppy, "nn/x.py", "x = 1  # type: ignore", "type: ignore in a comment"),
    (private, "nn/x.py", "from jax._src import core", "imports _src of jax._src"),
    (private, "nn/x.py", "from jdl.core import _tree", "imports _tree of jdl.core"),
    (private, "nn/x.py", "from jdl.nn import pool\npool._window()", "x.py:2: pool._window"),
    (eager, "plot/x.py", "import matplotlib.figure", "imports matplotlib with the module"),
    (eager, "nn/x.py", "class A:\n from scipy import stats", "x.py:2: imports scipy"),
    (eager, "train/x.py", "try:\n import numpyro\nexcept ImportError: pass", "imports numpyro"),
    (upward, "nn/x.py", "def f():\n from jdl.models.mlp import mlp", "x.py:2: nn imports"),
    (upward, "core.py", "import jdl", "core imports jdl"),
    (upward, "attic/x.py", "", "a room 'attic'"),
]


@pytest.mark.parametrize(("checker", "path", "text", "said"), BAD)
def test_a_checker_reports_what_is_wrong(checker, path, text, said):
    found = [f"{path}:{line}: {message}" for line, message in checker(parse(path, text))]
    assert any(said in message for message in found), found


GOOD = """'Doc.'
from flax import nnx
from jdl.core import Model

if TYPE_CHECKING:
    import scipy


class Net(nnx.Module):
    'Doc.'

    def __call__(self, x):
        'Doc.'
        import scipy

        try:
            return scipy.f(x)
        except BaseException:
            raise
"""


def test_every_checker_is_tested_and_passes_a_good_file():
    assert {checker for checker, *_ in BAD} == set(CHECKERS)
    assert not [m for checker in CHECKERS for m in checker(parse("models/convnets/x.py", GOOD))]


def test_a_cycle_is_found():
    a = parse("nn/a.py", "from jdl.nn.b import f")
    b = parse("nn/b.py", "def f():\n import jdl.nn.a")
    assert set(cycle([a, b])) == {"jdl.nn.a", "jdl.nn.b"}
    package = parse("nn/__init__.py", "from jdl.nn.c import f")
    assert cycle([package, parse("nn/c.py", "from jdl.nn import g")])
    assert not cycle([a, parse("nn/b.py", "")])
