"""The kernels of boosting against their NumPy twins."""

import numpy as np
import pytest

import reference_boosting
from fasttree.data.table import EncodedTable
from fasttree.ensembles import boosting, tiles
from fasttree.ensembles.losses import LambdaLoss, Queries

PARAMS = boosting.BoostingParams(
    learning_rate=0.1,
    max_leaves=31,
    max_depth=1 << 30,
    min_samples_leaf=20,
    max_features=1,
    min_hessian=1e-3,
    l2=0.0,
    depthwise=False,
)


def make_run(raw, n_threads=1):
    """Return a run over one column; only its gradients are of interest."""
    n_rows = raw.shape[1]
    table = EncodedTable.from_data(np.zeros((n_rows, 1)), max_bins=255)
    layout = tiles.make_layout(table)
    return boosting.Boosting(
        layout, tiles.pack(layout.columns, n_rows, 1), raw, PARAMS,
        np.zeros(1, np.int8), np.zeros((0, 1), np.uint8), n_threads,
    )  # fmt: skip


@pytest.mark.parametrize("truncation", [3, 30])
@pytest.mark.parametrize("spread", [0.0, 1.0, 500.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_lambda_gradients(spread, truncation, weighted):
    rng = np.random.default_rng(0)
    sizes = [1, 2, 5, 8, 9, 40, 100, 17]
    qid = np.repeat(np.arange(len(sizes)), sizes)
    n = len(qid)
    y = rng.integers(0, 5, n).astype(float)
    y[qid == 4] = 0
    weight = rng.random(len(sizes))[qid] if weighted else None
    raw = np.round(spread * rng.normal(size=(1, n)), 1)
    run = make_run(raw)
    queries = Queries.from_ids(qid, y, truncation)
    loss = LambdaLoss(queries, truncation, None)
    for _ in range(2):  # the second time from the order of the first
        run.run(lambda: loss.find_gradients(run, y, weight))
        for q in range(len(sizes)):
            rows = qid == q
            expected = reference_boosting.lambda_gradients(
                y[rows], raw[0, rows], truncation
            )
            size = 1.0 if weight is None else weight[rows][0]
            for given, wanted in zip(run.booster.gradients, expected, strict=True):
                np.testing.assert_allclose(
                    given[0, rows], wanted * size, rtol=2e-4, atol=1e-6
                )
        raw[:] += np.round(0.2 * spread * rng.normal(size=(1, n)), 1)
