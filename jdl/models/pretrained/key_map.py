"""What an array of another library's checkpoint is called here, as a table that can be read.

    ("layer{s+1}.{b}.conv{c+1}", "stages.{s}.{b}.convs.{c}")              a module: all its arrays
    ("classifier.0.weight", "dense.kernel", flattened(512, 7, 7))         one array, and its layout

The left is theirs, the right ours. A part `{s}` of our path is a number, which `{s}` and `{s+1}` on
the left repeat; the first row that fits is taken. The arrays of a module have the names and layouts
that the library gives them everywhere (`TORCH`, `KERAS`), so a table is no longer than the paper's.

    PyTorch   weight [out, in, H, W] -> kernel [H, W, in, out], of depthwise ones too; weight [out,
              in] -> kernel [in, out]; weight, bias, running_mean, running_var -> scale, bias, mean,
              var; num_batches_tracked is left out
    Keras     kernel as here; depthwise [H, W, C, 1] -> [H, W, 1, C]; a weight's name is its number
              in the layer: kernel 0, bias 1; gamma 0, beta 1, moving mean 2, moving variance 3

A table is walked from our side: every array of the model has one source, or there is an error that
lists all that are missing, left over, or of another shape.
"""

import difflib
import fnmatch
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Variables
from jdl.models.pretrained.readers import Tensors


class Layout(NamedTuple):
    """How an array of theirs becomes one of ours.

    Attributes:
        read: their arrays -> ours, in NumPy; a view where it can be.
        write: ours -> theirs; None where that cannot be told.
        place: of a part of theirs: its index, how many of a size there are, along which axis.
    """

    read: Callable[..., np.ndarray]
    write: Callable[[np.ndarray], np.ndarray] | None
    place: tuple[int, int, int] | None = None


class Entry(NamedTuple):
    """An array of the model and where it comes from.

    Attributes:
        theirs: keys in the file; more than one are handed to `layout.read` together.
        ours: path in the params or the buffers, "stages.0.0.convs.1.kernel".
        layout: between the two.
    """

    theirs: tuple[str, ...]
    ours: str
    layout: Layout


class Library(NamedTuple):
    """How a library names the arrays of a module.

    Attributes:
        suffixes: name of an array here -> what follows the module's name there.
        kernels: number of axes of a kernel -> its layout; others are as they are.
        ignored: patterns of keys that are no weights.
    """

    suffixes: Mapping[str, str]
    kernels: Mapping[int, Layout]
    ignored: tuple[str, ...] = ()


Row = tuple[str | tuple[str, ...], str] | tuple[str | tuple[str, ...], str, Layout]


class KeyMap(NamedTuple):
    """The table of an architecture in a library.

    Attributes:
        library: TORCH or KERAS.
        rows: (theirs, ours) of modules, (theirs, ours, layout) of arrays; or a function that
            makes them of our arrays by path, where numbers count through blocks.
        head: patterns of their keys of the classifier, and our path to it.
        ignored: patterns of more keys that have no place here, such as auxiliary heads.
        prefix: of their keys, which a file of the body alone lacks: "resnet.".
        older: (ending of a key in older files, what it is now).
    """

    library: Library
    rows: tuple[Row, ...] | Callable[[Mapping[str, Any]], Iterable[Row]]
    head: tuple[tuple[str, ...], str]
    ignored: tuple[str, ...] = ()
    prefix: str = ""
    older: tuple[tuple[str, str], ...] = ()


SAME = Layout(lambda x: x, lambda x: x)
CONV = Layout(lambda x: x.transpose(2, 3, 1, 0), lambda x: x.transpose(3, 2, 0, 1))
LINEAR = Layout(lambda x: x.transpose(1, 0), lambda x: x.transpose(1, 0))
# A linear layer that is a 1x1 convolution there.
POINTWISE = Layout(lambda x: x[:, :, 0, 0].T, lambda x: x.T[:, :, None, None])
KERAS_POINTWISE = Layout(lambda x: x[0, 0], lambda x: x[None, None])
KERAS_DEPTHWISE = Layout(lambda x: x.transpose(0, 1, 3, 2), lambda x: x.transpose(0, 1, 3, 2))
# norm(conv(x) + bias) is norm(conv(x)) with a mean that is smaller by the bias.
MEAN_LESS_BIAS = Layout(lambda mean, bias: mean - bias, None)

TORCH = Library(
    {
        "kernel": ".weight",
        "scale": ".weight",
        "embedding": ".weight",
        "bias": ".bias",
        "mean": ".running_mean",
        "var": ".running_var",
    },
    {2: LINEAR, 4: CONV},
    ("*num_batches_tracked",),
)
KERAS = Library({"kernel": "/0", "scale": "/0", "bias": "/1", "mean": "/2", "var": "/3"}, {})


def flattened(channels: int, height: int, width: int, *, as_conv: bool = False) -> Layout:
    """Of a linear layer after maps that were flattened channels first; here channels are last.

    Args:
        channels: of the maps.
        height: of the maps.
        width: of the maps.
        as_conv: there it is a convolution over all of the map, as timm's VGG has it.
    """

    def read(x):
        kernel = x.reshape(-1, channels, height, width).transpose(2, 3, 1, 0)
        return kernel.reshape(height * width * channels, -1)

    def write(x):
        kernel = x.reshape(height, width, channels, -1).transpose(3, 2, 0, 1)
        return kernel if as_conv else kernel.reshape(kernel.shape[0], -1)

    return Layout(read, write)


def part(index: int, parts: int, layout: Layout = SAME, axis: int = 0) -> Layout:
    """One of several arrays that lie in one of theirs: queries, keys and values of a fused layer.

    Args:
        index: of this part.
        parts: how many of the same size there are.
        layout: of the part.
        axis: of theirs along which they lie.
    """
    place = (index, parts, axis)
    return Layout(lambda x: layout.read(np.split(x, parts, axis)[index]), layout.write, place)


def entries(key_map: KeyMap, shapes: Mapping[str, Any]) -> list[Entry]:
    """Where each array of a model comes from.

    Args:
        key_map: of the architecture.
        shapes: path of each array of the model -> something with a `shape`.

    Returns:
        One for each path, in their order.

    Raises:
        ValueError: the table has no row for some paths: it is another architecture's.

    Example:
        >>> table = KeyMap(TORCH, (("fc{i+1}", "layers.{i}"),), (("fc3.*",), "layers.2"))
        >>> entry, = entries(table, {"layers.0.kernel": np.zeros([2, 3])})
        >>> entry.theirs
        ('fc1.weight',)
    """
    rows = tuple(key_map.rows(shapes)) if callable(key_map.rows) else key_map.rows
    table = _Table(rows)
    found = [_entry(key_map.library, table, path, len(x.shape)) for path, x in shapes.items()]
    lost = [path for path, entry in zip(shapes, found, strict=True) if entry is None]
    if lost:
        raise ValueError(
            f"the key map has no row for {', '.join(lost)}: the model is not the architecture that "
            "the map was written for"
        )
    return found


def blocks_of(paths: Iterable[str], stages: str = "stages") -> list[tuple[int, int]]:
    """(stage, block) of all paths like "stages.1.0.conv.kernel", in order, for tables that count.

    Example:
        >>> blocks_of(["stem.kernel", "stages.1.0.bias", "stages.0.0.bias", "stages.1.0.kernel"])
        [(0, 0), (1, 0)]
    """
    found = {tuple(p.split(".")[1:3]) for p in paths if p.startswith(f"{stages}.")}
    return sorted((int(stage), int(block)) for stage, block in found)


def paths_of(variables: Variables) -> dict[str, Any]:
    """Path -> array, of params and buffers together."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): x
        for tree in variables
        for path, x in jax.tree.leaves_with_path(tree)
    }


def convert(
    found: Tensors, key_map: KeyMap, like: Variables, *, without_head: bool = False
) -> Variables:
    """Reads a checkpoint into the shapes of a model.

    Args:
        found: the arrays of the file.
        key_map: of the architecture in the library that wrote it.
        like: of the model, arrays or what `jax.eval_shape(model.init, key)` says of them; the
            dtypes are these too.
        without_head: leave the head as it is in `like`, and its keys in the file.

    Returns:
        The variables. Each array is read, moved to the device, and let go.

    Raises:
        ValueError: keys are missing, left over or of another shape; all of them are listed.
    """
    found = _renewed(found, key_map.older)
    shapes = paths_of(like)
    wanted = entries(key_map, shapes)
    head = key_map.head[1] + "."
    if without_head:
        wanted = [entry for entry in wanted if not entry.ours.startswith(head)]
    if _lacks_prefix(found, wanted, key_map.prefix):
        wanted = [
            e._replace(theirs=tuple(k.removeprefix(key_map.prefix) for k in e.theirs))
            for e in wanted
        ]
    headless = without_head or not any(path.startswith(head) for path in shapes)
    ignored = key_map.library.ignored + key_map.ignored + (key_map.head[0] if headless else ())
    _check_names(found, wanted, ignored)
    arrays, misshapen = dict(shapes), []
    for entry in wanted:
        theirs = [found.read(key) for key in entry.theirs]
        array = _laid(entry.layout, theirs)
        like_this = shapes[entry.ours]
        if array is None or array.shape != like_this.shape:
            came = " and ".join(str(x.shape) for x in theirs)
            keys = " and ".join(entry.theirs)
            misshapen.append(f"{keys} {came} for {entry.ours} {like_this.shape}")
        else:
            arrays[entry.ours] = jnp.asarray(array, like_this.dtype)
    if misshapen:
        raise ValueError(
            f"{found.source} has arrays of other shapes: {'; '.join(misshapen)}. "
            "Is it of another size? Where only the classifier differs, give num_classes and "
            "head_key, which draws a fresh one"
        )
    return Variables(*(_like(tree, arrays) for tree in like))


def exported(variables: Variables, key_map: KeyMap) -> dict[str, np.ndarray]:
    """The arrays of a model under the names and in the layouts of the other library.

    Raises:
        ValueError: some arrays cannot be written so, since theirs hold more than ours.
    """
    arrays = paths_of(variables)
    rows = entries(key_map, arrays)
    no_way = [row.ours for row in rows if row.layout.write is None]
    if no_way:
        raise ValueError(f"there is no way back for {', '.join(no_way)}")
    written, parts = {}, {}
    for row in rows:
        array = row.layout.write(np.asarray(arrays[row.ours]))
        if row.layout.place is None:
            written[row.theirs[0]] = array
        else:
            index, _, axis = row.layout.place
            parts.setdefault((row.theirs[0], axis), {})[index] = array
    for (name, axis), found in parts.items():
        written[name] = np.concatenate([found[index] for index in sorted(found)], axis)
    return written


def _lacks_prefix(found, wanted, prefix):
    """Whether a file has the body's keys without the prefix, and none with it."""
    bare = {key.removeprefix(prefix) for e in wanted for key in e.theirs if key.startswith(prefix)}
    return not any(name.startswith(prefix) for name in found.names) and any(
        name in bare for name in found.names
    )


def _renewed(found, older):
    """The file, with the keys that it would have today."""
    names = {}
    for name in found.names:
        now = name
        for ending, new in older:
            now = now.removesuffix(ending) + new if now.endswith(ending) else now
        names[now] = name
    return Tensors(tuple(names), lambda name: found.read(names[name]), found.source)


class _Table:
    """Rows of a table, those without placeholders looked up at once."""

    def __init__(self, rows):
        self.plain = {row[1]: row for row in reversed(rows) if "{" not in row[1]}
        self.patterns = [row for row in rows if "{" in row[1]]

    def find(self, path):
        """(their names, layout or None) of the first row that fits, or None."""
        if path in self.plain:
            return self._filled(self.plain[path], {})
        for row in self.patterns:
            numbers = _numbers(row[1], path)
            if numbers is not None:
                return self._filled(row, numbers)
        return None

    def _filled(self, row, numbers):
        values = {f"{name}+{more}": n + more for name, n in numbers.items() for more in (1, 2)}
        theirs = (row[0],) if isinstance(row[0], str) else row[0]
        keys = tuple(key.format_map({**numbers, **values}) for key in theirs)
        return keys, (row[2] if len(row) > 2 else None)


def _numbers(pattern, path):
    """What the placeholders of a pattern are in a path, or None if the path does not fit."""
    parts, names = path.split("."), pattern.split(".")
    if len(parts) != len(names):
        return None
    numbers = {}
    for name, value in zip(names, parts, strict=True):
        if name.startswith("{") and value.isdecimal():
            numbers[name[1:-1]] = int(value)
        elif name != value:
            return None
    return numbers


def _entry(library, table, path, rank):
    found = table.find(path)
    if found is not None:
        return Entry(found[0], path, found[1] or SAME)
    module, _, leaf = path.rpartition(".")
    found = table.find(module)
    if found is None or leaf not in library.suffixes:
        return None
    layout = library.kernels.get(rank, SAME) if leaf == "kernel" else SAME
    return Entry(tuple(key + library.suffixes[leaf] for key in found[0]), path, layout)


def _check_names(found, wanted, ignored):
    names = set(found.names)
    used = {key: entry.ours for entry in wanted for key in entry.theirs}
    missing = [key for key in used if key not in names]
    surplus = [
        name
        for name in found.names
        if name not in used and not any(fnmatch.fnmatchcase(name, p) for p in ignored)
    ]
    if not missing and not surplus:
        return
    said = []
    if missing:
        listed = (f"{key} for {used[key]}{_nearest(key, surplus)}" for key in missing)
        said.append(f"lacks {'; '.join(listed)}")
    if surplus:
        said.append(f"has keys that the model has no place for: {'; '.join(surplus)}")
    raise ValueError(f"{found.source} {' and '.join(said)}")


def _nearest(key, names):
    near = difflib.get_close_matches(key, names, 1)
    return f" (nearest: {near[0]})" if near else ""


def _laid(layout, theirs):
    """Our array of theirs; None if the layout does not fit their shapes."""
    try:
        return layout.read(*theirs)
    except (ValueError, IndexError):
        return None


def _like(tree, arrays):
    return jax.tree_util.tree_map_with_path(
        lambda path, _: arrays[jax.tree_util.keystr(path, simple=True, separator=".")], tree
    )
