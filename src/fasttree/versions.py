"""What a bug report needs to say about the machine and the installation."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

from fasttree import _kernels
from fasttree.threads import resolve_n_jobs

_PACKAGES = ("fasttree", "numpy", "scikit-learn", "scipy", "joblib", "narwhals")


def show_versions() -> None:
    """Print versions, the kernels' CPU level and the default number of threads."""
    print(f"python: {sys.version.split()[0]} ({platform.platform()})")
    for name in _PACKAGES:
        try:
            installed = version(name)
        except PackageNotFoundError:
            installed = "not installed"
        print(f"{name}: {installed}")
    print(f"kernels: {_kernels.ISA} (available: {', '.join(_kernels.AVAILABLE_ISA)})")
    print(f"threads: {resolve_n_jobs(None)}")
