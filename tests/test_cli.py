"""The command line, in one process except where the process is the point."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import jax
import pytest

import jdl.recipes
from jdl.cli import main
from jdl.recipes.catalogue import recipes

COIN = '''
"""Tosses a coin.

Fair by default.
"""

import os
import signal
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from matplotlib.figure import Figure

from jdl.recipes.report import Report


@dataclass(frozen=True)
class Settings:
    """Of the coin."""

    tosses: int = 10
    """How often it is tossed."""
    sides: tuple[str, ...] = ("heads", "tails")
    """What it shows."""
    how: str = "well"
    """Whether it lands."""


def run(settings, key):
    if settings.how == "lost":
        raise RuntimeError("the coin is lost")
    if settings.how == "stopped":
        signal.raise_signal(signal.SIGINT)
    if settings.how == "terminated":
        signal.raise_signal(signal.SIGTERM)
    figure = Figure(figsize=(2, 2))
    figure.add_subplot().plot([0, 1])
    heads = jax.jit(lambda key: jax.random.bernoulli(key, 0.5, [settings.tosses]).sum())(key)
    metrics = {"heads": heads, "share": heads / settings.tosses, "odds": jnp.inf, "tosses": 10}
    return Report(metrics, {"tosses": figure}, f"{heads} of {settings.tosses}")
'''
FILES = {"metrics.json", "report.txt", "settings.json", "tosses.png"}


@pytest.fixture
def coin(tmp_path, monkeypatch):
    """A recipe `fair-coin`, and an empty folder as the working directory."""
    source, here = tmp_path / "source", tmp_path / "here"
    source.mkdir()
    here.mkdir()
    (source / "fair_coin.py").write_text(COIN)
    (source / "notes.py").write_text('"""No recipe."""\n\nraise RuntimeError("imported")\n')
    monkeypatch.setattr(jdl.recipes, "__path__", [*jdl.recipes.__path__, str(source)])
    monkeypatch.delitem(sys.modules, "jdl.recipes.fair_coin", raising=False)
    monkeypatch.chdir(here)
    return here


def test_version(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert (end.value.code, capsys.readouterr().out) == (0, f"jdl {jdl.__version__}\n")


def test_list_has_names_and_first_lines_and_imports_no_recipe(coin, capsys):
    assert main(["list"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["fair-coin"] == "Tosses a coin."
    assert "notes" not in lines and "report" not in lines
    assert "jdl.recipes.fair_coin" not in sys.modules


def test_the_catalogue_has_recipes_with_a_sentence_each():
    assert recipes()
    for recipe in recipes().values():
        assert recipe.summary.endswith("."), recipe.name


@pytest.mark.parametrize("name", recipes())
def test_every_recipe_has_a_documented_flag_for_each_setting(name, capsys):
    with pytest.raises(SystemExit) as end:
        main(["run", name, "--help"])
    shown = capsys.readouterr().out
    assert end.value.code == 0
    for field in recipes()[name].load().Settings.__dataclass_fields__:
        assert f"--{field.replace('_', '-')}" in shown
    for flag in ["--seed INT", "--out PATH", "--overwrite"]:
        assert flag in shown


def test_show_prints_docstring_and_path(coin, capsys):
    assert main(["show", "fair-coin"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("Tosses a coin.\n\nFair by default.\n")
    assert shown.splitlines()[-1] == str(coin.parent / "source" / "fair_coin.py")


@pytest.mark.parametrize("command", ["run", "show"])
def test_an_unknown_recipe_suggests_the_nearest(coin, capsys, command):
    assert main([command, "fare-coin"]) == 2
    assert "no recipe 'fare-coin'; did you mean 'fair-coin'?" in capsys.readouterr().err
    assert main([command, "fair"]) == 2
    assert "did you mean 'fair-coin'?" in capsys.readouterr().err
    assert main([command, "zzzzz"]) == 2
    assert "did you mean" not in capsys.readouterr().err


def test_a_run_writes_its_folder(coin, capsys):
    flags = ["--tosses", "20", "--sides", "obverse", "reverse", "--seed", "3"]
    assert main(["run", "fair-coin", *flags]) == 0
    folder = coin / "runs" / "fair-coin"
    assert {path.name for path in folder.iterdir()} == FILES
    assert [path.name for path in folder.parent.iterdir()] == ["fair-coin"]

    heads = int(jax.random.bernoulli(jax.random.key(3), 0.5, [20]).sum())
    metrics = json.loads((folder / "metrics.json").read_text())
    share = pytest.approx(heads / 20)
    assert metrics == {"heads": heads, "share": share, "odds": None, "tosses": 10}
    assert (folder / "report.txt").read_text() == f"{heads} of 20\n"
    assert (folder / "tosses.png").read_bytes().startswith(b"\x89PNG")

    record = json.loads((folder / "settings.json").read_text())
    settings = {"tosses": 20, "sides": ["obverse", "reverse"], "how": "well"}
    assert (record["recipe"], record["seed"], record["settings"]) == ("fair-coin", 3, settings)
    assert record["versions"]["jdl"] == jdl.__version__
    assert record["versions"]["jax"] == jax.__version__
    assert record["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    device = jax.devices()[0]
    assert record["device"] == {
        "platform": device.platform,
        "kind": device.device_kind,
        "count": jax.device_count(),
    }
    assert record["seconds"] > 0

    shown = capsys.readouterr().out
    assert shown.startswith(f"{heads} of 20\n")
    assert all(name in shown.splitlines()[-1] for name in ["runs/fair-coin", *FILES])


def test_the_default_seed_is_0_and_underscores_are_dashes(coin):
    assert main(["run", "fair_coin", "--out", "here"]) == 0
    assert json.loads((coin / "here" / "settings.json").read_text())["seed"] == 0


def test_an_old_run_is_written_over_only_when_told(coin, capsys):
    run = ["run", "fair-coin", "--out", "kept", "--tosses"]
    assert main([*run, "4"]) == 0
    before = contents(coin)
    assert main([*run, "5"]) == 1
    assert "kept holds an old run; --overwrite replaces" in capsys.readouterr().err
    assert contents(coin) == before
    assert main([*run, "6", "--overwrite"]) == 0
    after = contents(coin)
    assert after.keys() == before.keys()
    assert after["kept/report.txt"].endswith(b"of 6\n")


@pytest.mark.parametrize(
    ("how", "code"), [("lost", None), ("stopped", 130), ("terminated", 128 + signal.SIGTERM)]
)
@pytest.mark.parametrize("there", [False, True], ids=["new", "old run there"])
def test_what_does_not_end_well_leaves_all_as_it_was(coin, capsys, how, code, there):
    run = ["run", "fair-coin", "--out", "a/b/kept"]
    if there:
        main(run)
    before = contents(coin)
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    if code is None:
        with pytest.raises(RuntimeError, match="the coin is lost"):
            main([*run, "--how", how, "--overwrite"])
    else:
        assert main([*run, "--how", how, "--overwrite"]) == code
        assert "stopped; nothing was written" in capsys.readouterr().err
    assert contents(coin) == before
    assert (coin / "a").exists() == there
    assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


def test_an_empty_folder_may_be_filled(coin):
    (coin / "empty").mkdir()
    assert main(["run", "fair-coin", "--out", "empty"]) == 0
    assert {path.name for path in (coin / "empty").iterdir()} == FILES


@pytest.mark.parametrize("name", ["thesis.txt", "holiday.png", "metrics.json/"])
def test_a_folder_with_other_things_is_never_replaced(coin, capsys, name):
    mine = coin / "mine" / name
    mine.parent.mkdir()
    mine.mkdir() if name.endswith("/") else mine.write_text("years of work")
    assert main(["run", "fair-coin", "--out", "mine", "--overwrite"]) == 1
    assert f"holds what no run wrote: {name.strip('/')}" in capsys.readouterr().err
    assert mine.exists()


def test_a_folder_that_cannot_be_written_is_refused_before_the_run(coin, capsys):
    (coin / "file").write_text("")
    for out in ["file", "file/below", "file/far/below"]:
        # `lost` would raise if the recipe were run.
        assert main(["run", "fair-coin", "--how", "lost", "--out", out]) == 1
        shown = capsys.readouterr().err
        assert "--out" in shown and "file" in shown
    assert contents(coin) == {"file": b""}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused_before_the_run(coin, capsys):
    (coin / "locked").mkdir(mode=0o500)
    assert main(["run", "fair-coin", "--how", "lost", "--out", "locked/run"]) == 1
    assert "Permission denied" in capsys.readouterr().err


def test_a_mistyped_flag_ends_with_2(coin, capsys):
    for flags in [["--toses", "3"], ["--tosses", "many"]]:
        with pytest.raises(SystemExit) as end:
            main(["run", "fair-coin", *flags])
        assert end.value.code == 2
        assert "--tosses" in capsys.readouterr().err
    assert contents(coin) == {}


def test_without_tyro_the_remedy_is_named(coin, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tyro", None)
    assert main(["run", "fair-coin"]) == 1
    assert "pip install tyro" in capsys.readouterr().err
    assert main(["list"]) == 0


def test_bench_prints_a_line_a_step_and_writes_json(coin, capsys, monkeypatch):
    import functools

    from jdl.train import benchmark

    # The steps themselves are large: one block of one call each is enough here.
    quick = functools.partial(benchmark, blocks=1, block_seconds=0.0)
    monkeypatch.setattr("jdl.train.benchmark", quick)
    assert main(["bench", "mlp", "lenet5", "--out", "bench.json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["mlp", "lenet5"]
    record = json.loads((coin / "bench.json").read_text())
    assert [step["name"] for step in record["steps"]] == ["mlp", "lenet5"]
    # The products of the forward and both of the backward pass, but the gradient of the images.
    products = 784 * 512 + 512 * 512 + 512 * 10
    least = 2 * 128 * (3 * products - 784 * 512)
    assert least < record["steps"][0]["flops"] < 1.1 * least
    assert main(["bench", "mlp", "--out", "bench.json"]) == 1
    assert "--overwrite" in capsys.readouterr().err


def test_bench_refuses_what_it_does_not_know_before_it_measures(coin, capsys):
    assert main(["bench", "mlp", "lenet"]) == 2
    assert main(["bench", "mlp", "--out", "nowhere/bench.json"]) == 1
    shown = capsys.readouterr()
    assert "did you mean 'lenet5'? there are gpt2, lenet5, mlp" in shown.err
    assert "cannot write into nowhere" in shown.err
    assert shown.out == ""


def test_the_command_keeps_compiled_programs_in_the_users_cache(coin):
    program = f"""
        import sys
        import jdl.recipes
        jdl.recipes.__path__.append({str(coin.parent / "source")!r})
        from jdl.cli import main
        sys.exit(main(sys.argv[1:]))
    """
    environment = {**os.environ, "XDG_CACHE_HOME": str(coin / "cache")}
    del environment["JAX_COMPILATION_CACHE_DIR"]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program), "run", "fair-coin"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith("runs/fair-coin: ")
    assert {path.name for path in (coin / "runs" / "fair-coin").iterdir()} == FILES
    assert any((coin / "cache" / "jdl" / "xla").iterdir())


def contents(folder):
    """Every file below a folder, hidden ones too."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
