"""Imports run one way: data, codes, trees, growth, prediction, estimators."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1] / "src" / "fasttree"
MODULES = [
    "_kernels",
    "threads",
    "links",
    "model_file",
    "workspace",
    "encoding",
    "fit_columns",
    "labels",
    "sources",
    "schema",
    "table",
    "tree_checks",
    "packed_tree",
    "tree",
    "packed_trees",
    "joint_trees",
    "packing",
    "small_trees",
    "leaf_masks",
    "batch",
    "model_state",
    "predictor",
    "command_line",
    "inference",
    "node_statistics",
    "ensemble",
    "joining",
    "constraints",
    "records",
    "growth",
    "target",
    "compacting",
    "sampling",
    "tree_parts",
    "plan",
    "grown_tree",
    "pruning",
    "honesty",
    "training",
    "forest",
    "outofbag",
    "tiles",
    "boosting",
    "losses",
    "export",
    "drawing",
    "versions",
    "estimators",
]
KERNELS = [
    "types",
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
    "draw",
    "subtree",
    "view",
    "copied",
    "grower",
    "branches",
    "parting",
    "copies",
    "sampled",
    "traverse",
    "nodes",
    "compact",
    "sink",
    "cut_search",
    "leaf_masks",
    "team",
    "portable_math",
    "links",
    "gradient_histogram",
    "leaf_split",
    "objective",
    "ranking",
    "boost_engine",
    "boost_rows",
    "boost_splits",
    "boost_tree",
    "boost_gradients",
]


def imported_layers(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "fasttree":
                names = [f"fasttree.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "fasttree" and len(parts) > 1:
                yield parts[1]


def test_modules_import_only_lower_layers():
    paths = [p for p in ROOT.glob("*.py") if p.name != "__init__.py"]
    assert {p.stem for p in paths} <= set(MODULES)
    for path in [*paths, *ROOT.glob("estimators/*.py"), *ROOT.glob("_kernels/*.py")]:
        own = path.stem if path.parent == ROOT else path.parent.name
        for layer in imported_layers(path):
            assert MODULES.index(layer) <= MODULES.index(own), (path.name, layer)


def test_inline_kernels_cimport_only_lower_ones():
    pattern = re.compile(r"^from fasttree\._kernels\.(\w+) cimport", re.MULTILINE)
    paths = list(ROOT.glob("_kernels/*.pxd"))
    assert {p.stem for p in paths} == set(KERNELS)
    for path in paths:
        for name in pattern.findall(path.read_text()):
            assert KERNELS.index(name) < KERNELS.index(path.stem), (path.name, name)
