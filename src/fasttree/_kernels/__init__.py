"""Compiled kernels, one build per instruction-set level.

Contract of this layer: the kernels trust their arguments. Every array is
contiguous and of the stated dtype, every index is in range and every size
agrees; the Python modules above check that before they call. Kernels release
the GIL, keep no module state and allocate nothing that an exception could leak.

``FASTTREE_ISA`` (``baseline`` or ``x86_64_v3``) overrides the level that is
chosen at import. The level never changes a result, only its speed.
"""

import importlib
import os

from fasttree._kernels.cpu import supports_x86_64_v3

_LEVELS = ("x86_64_v3", "baseline")


def _available_levels() -> tuple[str, ...]:
    levels = []
    for level in _LEVELS:
        if level == "x86_64_v3" and not supports_x86_64_v3():
            continue
        try:
            importlib.import_module(f"{__name__}.{level}.grow")
        except ModuleNotFoundError:
            continue
        levels.append(level)
    return tuple(levels)


def _choose_level(available: tuple[str, ...]) -> str:
    wanted = os.environ.get("FASTTREE_ISA")
    if not wanted:
        return available[0]
    if wanted not in available:
        raise ImportError(
            f"FASTTREE_ISA={wanted!r} cannot be used here; this build and machine "
            f"offer {', '.join(available)}"
        )
    return wanted


AVAILABLE_ISA = _available_levels()
ISA = _choose_level(AVAILABLE_ISA)

assemble = importlib.import_module(f"{__name__}.{ISA}.assemble")
bags = importlib.import_module(f"{__name__}.{ISA}.bags")
boost = importlib.import_module(f"{__name__}.{ISA}.boost")
encode = importlib.import_module(f"{__name__}.{ISA}.encode")
ensemble = importlib.import_module(f"{__name__}.{ISA}.ensemble")
forest = importlib.import_module(f"{__name__}.{ISA}.forest")
grow = importlib.import_module(f"{__name__}.{ISA}.grow")
large = importlib.import_module(f"{__name__}.{ISA}.large")
mask_rows = importlib.import_module(f"{__name__}.{ISA}.mask_rows")
predict = importlib.import_module(f"{__name__}.{ISA}.predict")
prepare = importlib.import_module(f"{__name__}.{ISA}.prepare")
probes = importlib.import_module(f"{__name__}.{ISA}.probes")
prune = importlib.import_module(f"{__name__}.{ISA}.prune")
row = importlib.import_module(f"{__name__}.{ISA}.row")
small = importlib.import_module(f"{__name__}.{ISA}.small")
tiles = importlib.import_module(f"{__name__}.{ISA}.tiles")
validate = importlib.import_module(f"{__name__}.{ISA}.validate")
