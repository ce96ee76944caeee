"""Key maps of Xception."""

from jdl.models.pretrained.key_map import KERAS, KERAS_DEPTHWISE, SAME, TORCH, KeyMap


def _modules(paths):
    """Our name of each module in order, with the number of its layers and whether it strides."""
    middle = {int(path.split(".")[1]) for path in paths if path.startswith("middle.")}
    names = ["entry.0", "entry.1", "entry.2", *(f"middle.{i}" for i in sorted(middle)), "exit"]
    return [(name, 3, False) if name.startswith("middle") else (name, 2, True) for name in names]


def _timm(paths):
    """The layers of a block are numbered with their rectifiers, of which the first has none."""
    for n in (1, 2):
        yield from ((f"conv{n}", f"conv{n}"), (f"bn{n}", f"norm{n}"))
    for number, (ours, layers, strides) in enumerate(_modules(paths), 1):
        theirs, first = f"block{number}", 0 if number == 1 else 1
        for i in range(layers):
            at = first + 3 * i
            yield f"{theirs}.rep.{at}.conv1", f"{ours}.convs.{i}.depthwise"
            yield f"{theirs}.rep.{at}.pointwise", f"{ours}.convs.{i}.pointwise"
            yield f"{theirs}.rep.{at + 1}", f"{ours}.norms.{i}"
        if strides:
            yield f"{theirs}.skip", f"{ours}.shortcut.0"
            yield f"{theirs}.skipbn", f"{ours}.shortcut.1"
    for n in (3, 4):
        yield f"conv{n}.conv1", f"conv{n}.depthwise"
        yield f"conv{n}.pointwise", f"conv{n}.pointwise"
        yield f"bn{n}", f"norm{n}"
    yield "fc", "head.linear"


def _separable(theirs, ours, norm):
    yield f"{theirs}/0", f"{ours}.depthwise.kernel", KERAS_DEPTHWISE
    yield f"{theirs}/1", f"{ours}.pointwise.kernel", SAME
    yield f"{theirs}_bn", norm


def _keras(paths):
    """The shortcuts have the names that Keras gives by itself."""
    for n in (1, 2):
        yield from ((f"block1_conv{n}", f"conv{n}"), (f"block1_conv{n}_bn", f"norm{n}"))
    modules, shortcuts = _modules(paths), 0
    for number, (ours, layers, strides) in enumerate(modules, 2):
        for i in range(layers):
            theirs = f"block{number}_sepconv{i + 1}"
            yield from _separable(theirs, f"{ours}.convs.{i}", f"{ours}.norms.{i}")
        if strides:
            end = f"_{shortcuts}" if shortcuts else ""
            yield f"conv2d{end}", f"{ours}.shortcut.0"
            yield f"batch_normalization{end}", f"{ours}.shortcut.1"
            shortcuts += 1
    for n in (3, 4):
        theirs = f"block{len(modules) + 2}_sepconv{n - 2}"
        yield from _separable(theirs, f"conv{n}", f"norm{n}")
    yield "predictions", "head.linear"


XCEPTION_TIMM = KeyMap(TORCH, _timm, head=(("fc.*",), "head"))
XCEPTION_KERAS = KeyMap(KERAS, _keras, head=(("predictions/*",), "head"))
