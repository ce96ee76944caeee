"""docs/systems.md says nothing that is not so: symbols import, tests exist, no row is lost."""

import ast
import functools
import pathlib
import pkgutil
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
LINES = re.findall(r"^\| (\d.*) \|$", (ROOT / "docs/systems.md").read_text(), re.MULTILINE)
ROWS = [line.split(" | ") for line in LINES]
THERE = [row for row in ROWS if row[-1] != "missing"]


def names(cell):
    """The entries of a cell: `a`, `b`."""
    return re.findall(r"`([^`]+)`", cell)


@functools.cache
def functions(path):
    body = ast.parse((ROOT / path).read_text()).body
    return {node.name for node in body if isinstance(node, ast.FunctionDef)}


def test_every_line_has_five_cells_and_a_state():
    assert [row for row in ROWS if len(row) != 5] == []
    assert {row[-1] for row in ROWS} <= {"works", "partial", "missing"}


def test_the_rows_are_1_to_216_with_their_parts_in_order():
    found = [re.fullmatch(r"(\d+)([a-d]?)", row[0]).groups() for row in ROWS]
    numbers = list(dict.fromkeys(int(number) for number, _ in found))
    assert numbers == list(range(1, 217))
    for number in numbers:
        parts = "".join(part for n, part in found if int(n) == number)
        assert parts in ("", "ab", "abc", "abcd") and len(found) == len(set(found)), number


def test_missing_rows_name_nothing():
    assert [row for row in ROWS if row[-1] == "missing" and row[2:4] != ["-", "-"]] == []


@pytest.mark.parametrize("row", THERE, ids=lambda row: row[0])
def test_symbols_import_and_tests_exist(row):
    symbols, tests = names(row[2]), names(row[3])
    assert symbols and tests
    for symbol in symbols:
        pkgutil.resolve_name(symbol)
    for test in tests:
        path, _, function = test.partition("::")
        assert path.startswith("tests/") and function in functions(path), test
