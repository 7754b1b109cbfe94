"""The command ``fasttree``: what is in a model file."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from fasttree.storage import model_file
from fasttree.storage.model_state import ModelState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


def main() -> None:
    """Run the command, or say what it needs."""
    try:
        import click
    except ModuleNotFoundError:
        sys.exit("the command needs click: pip install 'fasttree[cli]'")

    @click.group()
    @click.version_option(package_name="fasttree")
    def group() -> None:
        """Work with model files of fasttree."""

    @group.command()
    @click.argument("file", type=click.Path(exists=True, dir_okay=False))
    def inspect(file: str) -> None:
        """Check FILE and print what it holds."""
        try:
            description, arrays = model_file.read(file, mmap=True)
            state = ModelState.from_parts(description, arrays)
        except (model_file.ModelFileError, OSError) as error:
            raise click.ClickException(f"{file}: {error}") from error
        for line in describe(state, description, arrays):
            click.echo(line)

    group(prog_name="fasttree")


def describe(
    state: ModelState, description: dict[str, Any], arrays: dict[str, NDArray[Any]]
) -> Iterator[str]:
    """Yield lines about a model that has been read."""
    packed = state.packed
    yield f"estimator      {state.estimator}"
    yield f"written by     fasttree {description.get('fasttree_version')}"
    yield f"trees          {packed.n_trees}"
    yield f"nodes          {packed.n_nodes}"
    thresholds = f"ranks in {len(packed.cuts)} cuts" if len(packed.cuts) else "float32"
    yield f"a node         {4 * packed.nodes.shape[1]} bytes; thresholds {thresholds}"
    if state.classes is not None:
        for labels in state.classes:
            yield f"classes        {_list(labels.tolist())}"
    set_params = {k: v for k, v in state.params.items() if v is not None}
    yield f"parameters     {_list([f'{k}={v!r}' for k, v in set_params.items()])}"
    yield f"features       {packed.n_features}"
    names = state.feature_names or range(packed.n_features)
    for name, single, labels in zip(names, state.single, state.categories, strict=True):
        kind = "float32" if single else "float64"
        if labels is not None:
            kind = f"{len(labels)} categories: {_list(labels.tolist())}"
        yield f"  {name}: {kind}"
    yield "arrays"
    for name, array in arrays.items():
        shape = " x ".join(map(str, array.shape))
        yield f"  {name}: {array.dtype.name} {shape}, {array.nbytes} bytes"


def _list(values: list[Any], most: int = 12) -> str:
    shown = ", ".join(map(str, values[:most]))
    return shown if len(values) <= most else f"{shown}, ... ({len(values)})"


if __name__ == "__main__":
    main()
