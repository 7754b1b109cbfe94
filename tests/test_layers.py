"""Imports run one way: data, trees, storage, prediction, growth, estimators."""

import ast
import re
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[1] / "src" / "fasttree"
MODULES = [
    "_kernels",
    "threads",
    "data.workspace",
    "data.encoding",
    "data.fit_columns",
    "data.labels",
    "data.sources",
    "data.sparse_columns",
    "data.schema",
    "data.table",
    "trees.links",
    "trees.tree_checks",
    "trees.packed_tree",
    "trees.tree_fields",
    "trees.tree",
    "trees.packed_trees",
    "trees.joint_trees",
    "trees.node_statistics",
    "trees.pruning",
    "trees.export",
    "trees.drawing",
    "storage.model_file",
    "storage.model_state",
    "prediction.packing",
    "prediction.small_trees",
    "prediction.leaf_masks",
    "prediction.batch",
    "prediction.predictor",
    "prediction.inference",
    "prediction.ensemble",
    "prediction.joining",
    "growth.constraints",
    "growth.records",
    "growth.node_order",
    "growth.target",
    "growth.compacting",
    "growth.sampling",
    "growth.tree_parts",
    "growth.plan",
    "growth.grown_tree",
    "growth.honesty",
    "growth.training",
    "ensembles.forest",
    "ensembles.outofbag",
    "ensembles.sparse_features",
    "ensembles.tiles",
    "ensembles.boosting",
    "ensembles.losses",
    "command_line",
    "versions",
    "estimators",
]
KERNELS = [
    "types",
    "arguments",
    "argmax",
    "transpose",
    "few_rows",
    "random",
    "radix",
    "monotone",
    "absolute",
    "impurity",
    "records",
    "histogram",
    "partition",
    "outputs",
    "bits",
    "flags",
    "scan",
    "scan_categories",
    "cells",
    "columns",
    "prefixes",
    "bin_search",
    "class_cells",
    "keys",
    "draw",
    "drawn_parting",
    "subtree",
    "view",
    "copied",
    "grower",
    "branches",
    "parting",
    "copies",
    "sampled",
    "roots",
    "traverse",
    "nodes",
    "compact",
    "tree_arrays",
    "sink",
    "cut_search",
    "leaf_masks",
    "team",
    "portable_math",
    "links",
    "gradient_histogram",
    "leaf_split",
    "sparse_cells",
    "objective",
    "ranking",
    "boost_engine",
    "boost_rows",
    "boost_moves",
    "boost_queue",
    "boost_splits",
    "boost_tree",
    "boost_gradients",
]


def module_of(name):
    """Return the entry of MODULES that a dotted name within fasttree belongs to."""
    parts = name.split(".")
    for size in (2, 1):
        if ".".join(parts[:size]) in MODULES:
            return ".".join(parts[:size])
    return None


def imported_modules(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            if name.startswith("fasttree.") and (module := module_of(name[9:])):
                yield module


def test_modules_import_only_lower_layers():
    names = {
        path: ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in ROOT.rglob("*.py")
        if path.parent.name == "_kernels" or path.name != "__init__.py"
    }
    assert {module_of(name) for name in names.values()} == set(MODULES)
    for path, name in names.items():
        for module in imported_modules(path):
            own = MODULES.index(module_of(name))
            assert MODULES.index(module) <= own, (name, module)


def test_packages_stand_one_above_the_other():
    packages = [name.split(".")[0] for name in MODULES]
    assert sum(a != b for a, b in pairwise(packages)) == len(set(packages)) - 1


def test_inline_kernels_cimport_only_lower_ones():
    pattern = re.compile(r"^from fasttree\._kernels\.(\w+) cimport", re.MULTILINE)
    paths = list(ROOT.glob("_kernels/*.pxd"))
    assert {p.stem for p in paths} == set(KERNELS)
    for path in paths:
        for name in pattern.findall(path.read_text()):
            assert KERNELS.index(name) < KERNELS.index(path.stem), (path.name, name)
