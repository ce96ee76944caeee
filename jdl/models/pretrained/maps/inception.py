"""Key maps of the Inception networks: GoogLeNet, Inception-v3 and -v4.

A unit is a convolution and its norm, `.conv` and `.bn` there. Auxiliary heads of a file are passed
over where the model has none.
"""

from jdl.models.pretrained.key_map import KERAS, SAME, TORCH, KeyMap, blocks_of


def _units(rows):
    """Rows of units -> rows of their convolutions and norms."""
    for theirs, ours in rows:
        yield f"{theirs}.conv", f"{ours}.conv"
        yield f"{theirs}.bn", f"{ours}.norm"


def _letter(number):
    return chr(ord("a") + number)


def _googlenet(paths):
    yield from _units((f"conv{n}", f"conv{n}") for n in (1, 2, 3))
    for stage, block in blocks_of(paths):
        theirs, ours = f"inception{stage + 3}{_letter(block)}", f"stages.{stage}.{block}"
        units = [(f"{theirs}.branch1", f"{ours}.one.layers.0")]
        for number, branch in ((2, "three"), (3, "five")):
            units += [
                (f"{theirs}.branch{number}.{i}", f"{ours}.{branch}.layers.{i}") for i in (0, 1)
            ]
        units.append((f"{theirs}.branch4.1", f"{ours}.pool.layers.0"))
        yield from _units(units)
    yield "fc", "head.linear"


GOOGLENET_TORCHVISION = KeyMap(
    TORCH, _googlenet, head=(("fc.*",), "head"), ignored=("aux1.*", "aux2.*")
)

# Branches of the blocks of each stage, the first of which may be a reduction.
V3_FIRST = ((), (), (), ("branch3x3", "branch3x3dbl_#"), ("branch3x3_#", "branch7x7x3_#"))
V3_OTHERS = (
    (),
    (),
    ("branch1x1", "branch5x5_#", "branch3x3dbl_#", "branch_pool"),
    ("branch1x1", "branch7x7_#", "branch7x7dbl_#", "branch_pool"),
    ("branch1x1", "branch3x3_#", "branch3x3dbl_#", "branch_pool"),
)
V3_MIXED = {2: 5, 3: 6, 4: 7}  # our stage -> the number of their names


def _branch_rows(paths, stage, layer, theirs, names):
    """Units of a block; `#` is the number of a layer, and a fork has an a and a b."""
    for branch, name in enumerate(names):
        start = f"stages.{stage}.layers.{layer}.branches.{branch}.layers."
        for path in paths:
            if not (path.startswith(start) and path.endswith(".conv.kernel")):
                continue
            parts = path.removeprefix(start).removesuffix(".conv.kernel").split(".")
            fork = _letter(int(parts[2])) if len(parts) > 1 else ""
            number = f"{int(parts[0]) + 1}{fork}"
            yield f"{theirs}.{name.replace('#', number)}", path.removesuffix(".conv.kernel")


def _inception_v3(paths):
    stem = ("1a_3x3", "2a_3x3", "2b_3x3")
    yield from _units((f"Conv2d_{name}", f"stages.0.layers.{i}") for i, name in enumerate(stem))
    yield from _units(
        (f"Conv2d_{name}", f"stages.1.layers.{i}") for i, name in ((1, "3b_1x1"), (2, "4a_3x3"))
    )
    layers = {tuple(p.split(".")[1:4:2]) for p in paths if ".branches." in p}
    for stage, layer in sorted((int(stage), int(layer)) for stage, layer in layers):
        names = V3_FIRST[stage] if layer == 0 else V3_OTHERS[stage]
        theirs = f"Mixed_{V3_MIXED[stage]}{_letter(layer)}"
        yield from _units(_branch_rows(paths, stage, layer, theirs, names))
    yield from _units((f"AuxLogits.conv{i}", f"auxiliary.convs.layers.{i}") for i in (0, 1))
    yield "AuxLogits.fc", "auxiliary.head.linear"
    yield "fc", "head.linear"


def _inception_v3_keras(paths):
    """Convolutions and norms, which do not scale, are numbered in the order of our paths."""
    kernels = [path for path in paths if path.endswith(".conv.kernel")]
    in_order = sorted(kernels, key=lambda path: [int(n) for n in path.split(".") if n.isdecimal()])
    for number, path in enumerate(in_order):
        end, unit = f"_{number}" if number else "", path.removesuffix(".conv.kernel")
        yield f"conv2d{end}/0", path, SAME
        for weight, name in enumerate(("bias", "mean", "var")):
            yield f"batch_normalization{end}/{weight}", f"{unit}.norm.{name}", SAME
    yield "predictions", "head.linear"


INCEPTION_V3_TORCH = KeyMap(  # torchvision and timm
    TORCH, _inception_v3, head=(("fc.*",), "head"), ignored=("AuxLogits.*",)
)
INCEPTION_V3_KERAS = KeyMap(KERAS, _inception_v3_keras, head=(("predictions/*",), "head"))


def _inception_v4(paths):
    """All blocks are numbered through; a branch of one layer has no number within."""
    layers = {tuple(map(int, p.split(".")[1:4:2])) for p in paths if p.startswith("stages.")}
    for number, (stage, layer) in enumerate(sorted(layers)):
        theirs, ours = f"features.{number}", f"stages.{stage}.layers.{layer}"
        if stage == 0:
            yield from _units([(theirs, ours)])
            continue
        units = [
            path.removesuffix(".conv.kernel")
            for path in paths
            if path.startswith(f"{ours}.branches.") and path.endswith(".conv.kernel")
        ]
        only = len(units) == 1
        forked = stage == 4 and layer > 0
        for unit in units:
            branch, _, *rest = unit.removeprefix(f"{ours}.branches.").split(".")
            alone = sum(u.startswith(f"{ours}.branches.{branch}.") for u in units) == 1
            fork = _letter(int(rest[2])) if len(rest) > 1 else ""
            joint = "_" if forked and not alone else "."
            inside = "" if alone and rest[0] == "0" else f"{joint}{rest[0]}{fork}"
            name = "conv" if only else f"branch{branch}{inside}"
            yield from _units([(f"{theirs}.{name}", unit)])
    yield "last_linear", "head.linear"


INCEPTION_V4_TIMM = KeyMap(TORCH, _inception_v4, head=(("last_linear.*",), "head"))
