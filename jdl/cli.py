"""The command line: `jdl list | run NAME | show NAME | bench`."""

import argparse
import contextlib
import dataclasses
import datetime
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax

import jdl
from jdl.recipes.catalogue import Recipe, nearest, recipes
from jdl.recipes.folder import run_folder, surroundings, write_report


def main(argv: Sequence[str] | None = None) -> int:
    """Does what the arguments say.

    Args:
        argv: the arguments; None takes those of the process.

    Returns:
        The exit code: 0 for success, 1 for a refusal, 2 for what was misspelt, 128 and the signal
        for a run that was stopped.
    """
    arguments = _parser().parse_args(argv)
    try:
        return arguments.command(arguments)
    except BrokenPipeError:  # `jdl list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser():
    parser = argparse.ArgumentParser("jdl", description="Deep learning research in JAX.")
    parser.add_argument("--version", action="version", version=f"jdl {jdl.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, does: Callable, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=does)
        return sub

    command("list", _list, "Name the recipes.")
    run = command("run", _run, "Run a recipe; `jdl run NAME --help` has its flags.")
    run.add_argument("name", metavar="NAME", help="see `jdl list`")
    run.add_argument("flags", nargs=argparse.REMAINDER, metavar="...", help="of the recipe")
    show = command("show", _show, "Print what a recipe does and where its source is.")
    show.add_argument("name", metavar="NAME", help="see `jdl list`")
    bench = command("bench", _bench, "Time training steps of the library on this machine.")
    bench.add_argument("names", nargs="*", metavar="NAME", help="which; all if none is given")
    bench.add_argument("--out", type=Path, help="a JSON file to write the records to")
    bench.add_argument("--overwrite", action="store_true", help="write over that file")
    return parser


def _list(arguments):
    found = recipes()
    width = max(map(len, found), default=0)
    for name, recipe in found.items():
        print(f"{name:{width}}  {recipe.summary}")
    return 0


def _show(arguments):
    recipe = _known(arguments.name, recipes(), "recipe", "`jdl list` has all")
    if recipe is None:
        return 2
    print(f"{recipe.doc}\n\n{recipe.path}")
    return 0


def _run(arguments):
    recipe = _known(arguments.name, recipes(), "recipe", "`jdl list` has all")
    if recipe is None:
        return 2
    try:
        import tyro  # noqa: F401
    except ImportError:
        return _refuse("`jdl run` reads its flags with tyro: pip install tyro")
    _use_compilation_cache()  # before anything is compiled: jax decides once
    module = recipe.load()
    settings, seed, out, overwrite = _flags(recipe, module.Settings, arguments.flags)
    try:
        with _stoppable(), contextlib.ExitStack() as stack:
            try:
                folder = stack.enter_context(run_folder(out, overwrite=overwrite))
            except FileExistsError as error:
                return _refuse(f"{error}; --overwrite replaces an old run, --out names another")
            except OSError as error:
                return _refuse(f"cannot write {out}: {error}; give another --out")
            text, files = _run_into(folder, recipe, module.run, settings, seed)
    except KeyboardInterrupt as stop:
        print("stopped; nothing was written", file=sys.stderr)
        return 128 + (stop.args[0] if stop.args else signal.SIGINT)
    print(f"{text}\n{out}: {', '.join(files)}")
    return 0


def _run_into(folder, recipe, run, settings, seed):
    start = time.perf_counter()
    report = run(settings, jax.random.key(seed))
    record = {
        "recipe": recipe.name,
        "settings": settings,
        "seed": seed,
        "seconds": round(time.perf_counter() - start, 3),
        "ended": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        **surroundings(),
    }
    try:
        return report.text, write_report(folder, report, record)
    except BaseException:
        print(report.text)  # the numbers outlive a full disk
        raise


def _flags(recipe: Recipe, kind: type, flags: Sequence[str]) -> tuple[Any, int, Path, bool]:
    """Settings, seed, folder, overwrite; for `--help` and for mistakes it prints and exits."""
    import tyro

    @dataclasses.dataclass
    class Flags:
        settings: tyro.conf.OmitArgPrefixes[kind]
        seed: int = 0
        """Seed of all that is drawn."""
        out: Path = Path("runs", recipe.name)
        """Folder of the results."""
        overwrite: tyro.conf.FlagCreatePairsOff[bool] = False
        """Replace the results of an old run."""

    given = tyro.cli(
        Flags,
        prog=f"jdl run {recipe.name}",
        description=recipe.summary,
        args=list(flags),
    )
    return given.settings, given.seed, given.out, given.overwrite


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Ctrl-C and a request to terminate end a run at once.

    By itself `fit` would end early, and numbers of half a training would look like a result.
    """

    def stop(signum, frame):
        raise KeyboardInterrupt(signum)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _use_compilation_cache():
    """Keeps compiled programs from run to run, unless the user has decided where.

    In `jdl/xla` of the user's cache folder (`XDG_CACHE_HOME` or `~/.cache`), which may be deleted
    at any time. `JAX_COMPILATION_CACHE_DIR` names another; `JAX_ENABLE_COMPILATION_CACHE=0` is off.
    """
    if jax.config.jax_compilation_cache_dir is not None:
        return
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "jdl", "xla")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def _bench(arguments):
    from jdl.recipes.steps import STEPS
    from jdl.train import benchmark

    names = arguments.names or list(STEPS)
    if any(_known(name, STEPS, "step", f"there are {', '.join(STEPS)}") is None for name in names):
        return 2
    out = arguments.out
    if out is not None and out.exists() and not arguments.overwrite:
        return _refuse(f"{out} is there already; give another --out or --overwrite")
    if out is not None and not os.access(out.parent, os.W_OK):
        return _refuse(f"cannot write into {out.parent}; give another --out")
    records = []
    for name in names:
        record = benchmark(*STEPS[name](), carry=True, name=name)
        print(record, flush=True)
        records.append(record.as_dict())
    if out is not None:
        out.write_text(json.dumps({"steps": records, **surroundings()}, indent=2) + "\n")
    return 0


def _known(name, among, kind, remedy):
    """The entry with this name; None, and a suggestion printed, if there is none."""
    if (found := among.get(name.replace("_", "-"))) is not None:
        return found
    close = nearest(name, among)
    suggestion = f"did you mean {close!r}? " if close else ""
    print(f"jdl: no {kind} {name!r}; {suggestion}{remedy}", file=sys.stderr)
    return None


def _refuse(message):
    print(f"jdl: {message}", file=sys.stderr)
    return 1
