"""The CPU level changes the speed of the kernels and no bit of a tree."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from digests import digests
from fasttree import _kernels


@pytest.mark.parametrize("level", _kernels.AVAILABLE_ISA)
def test_trees_are_the_same_on_every_level(level):
    printed = subprocess.run(
        [sys.executable, Path(__file__).with_name("digests.py")],
        env={**os.environ, "FASTTREE_ISA": level},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed.split() == list(digests())


def test_unknown_level_is_refused():
    run = subprocess.run(
        [sys.executable, "-c", "import fasttree"],
        env={**os.environ, "FASTTREE_ISA": "avx9000"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode != 0
    assert "FASTTREE_ISA='avx9000'" in run.stderr
