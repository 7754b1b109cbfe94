"""What the tree estimators share: checked input in, plain arrays to training."""

from __future__ import annotations

import math
from contextlib import contextmanager
from numbers import Integral
from typing import TYPE_CHECKING, Any, ClassVar

import narwhals.stable.v2 as nw
import numpy as np
from scipy import sparse
from sklearn.utils import check_random_state, get_tags
from sklearn.utils.validation import (
    _check_feature_names,
    _check_n_features,
    _check_sample_weight,
    check_array,
    check_consistent_length,
    column_or_1d,
    validate_data,
)

from fasttree.data.schema import SparseRows
from fasttree.data.sources import check_sparse, is_plain
from fasttree.data.table import EncodedTable
from fasttree.estimators._parameters import CheckedParametersMixin
from fasttree.growth import plan
from fasttree.threads import resolve_n_jobs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from sklearn.base import BaseEstimator


_CRITERION_ALIASES = {"log_loss": "entropy"}

# Arrays are not scanned for infinity here: encoding and the schema do that.
# Their dtype becomes numeric, or stays as it is where it may hold labels.
_DTYPE = {False: "numeric", True: None}


@contextmanager
def old_state_on_error(estimator: BaseEstimator) -> Iterator[None]:
    """Put back all attributes if the block fails or is interrupted."""
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


def is_frame(X: Any) -> bool:
    """Return whether `X` is a pandas, polars or other data frame."""
    return not isinstance(X, np.ndarray) and nw.dependencies.is_into_dataframe(X)


def _is_plain_target(y: Any) -> bool:
    """Return whether `check_array` would return `y` as it is, at some cost."""
    if type(y) is not np.ndarray or y.ndim != 1 or not y.size:
        return False
    if y.dtype.kind == "f":
        return y.dtype == np.float64 and bool(np.isfinite(y).all())
    return y.dtype.kind in "iub" and y.dtype.isnative


def holds_labels(X: Any) -> bool:
    """Return whether `X` is an array of objects or text, as categories may be."""
    return isinstance(X, np.ndarray) and X.dtype.kind in "OUS"


def check_unchecked(X: Any) -> None:
    """Check what must be true of `X` even where `check_input` is false."""
    if not isinstance(X, np.ndarray) and not sparse.issparse(X):
        raise TypeError(
            "X must be a NumPy array or a sparse matrix with check_input=False, got "
            f"{type(X).__name__}"
        )
    if X.ndim != 2:
        raise ValueError(f"X must have two dimensions, got shape {X.shape}")


class TableInputMixin(CheckedParametersMixin):
    """Reading X and y for estimators that train on an EncodedTable."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        tags.target_tags.multi_output = False
        return tags

    _warns_of_a_column: ClassVar[bool] = True  # where y is (n_samples, 1)

    def _check_not_encoded(self, n_bins: int | None = None) -> None:
        """Raise if a parameter speaks of encoding: X has been encoded already.

        `n_bins` is the default of `max_bins`, which says nothing.
        """
        for name in ("max_bins", "categorical_features"):
            value = getattr(self, name)
            if not (value is None or (name == "max_bins" and value == n_bins)):
                raise ValueError(
                    f"{name} must be None when X is an EncodedTable, got {value!r}; "
                    "give it to EncodedTable.from_data"
                )

    def _check_data(
        self, X: Any, y: Any, *, y_numeric: bool, check_input: bool
    ) -> tuple[Any, Any]:
        """Return `X` and `y`, and set ``n_features_in_`` and names.

        `y` has one dimension, or two where there are several outputs.
        """
        if sparse.issparse(X):
            check_sparse(X)
        if not check_input and not isinstance(X, EncodedTable):
            check_unchecked(X)
            self._reset_features(X)
        elif isinstance(X, EncodedTable) or is_plain(X) or is_frame(X):
            self._reset_features(X)
        elif y is None:
            # scikit-learn has the words for it.
            validate_data(self, X, y)
        else:
            labels = self._lists_categories() and holds_labels(X)
            X = validate_data(
                self,
                X,
                accept_sparse="csc",
                ensure_all_finite=False,
                dtype=_DTYPE[labels],
            )
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target "
                "y is None"
            )
        if not (_is_plain_target(y) and y_numeric == (y.dtype.kind == "f")):
            y = check_array(
                y,
                ensure_2d=False,
                dtype=np.float64 if y_numeric else None,
                input_name="y",
                estimator=self,
            )
        several_allowed = get_tags(self).target_tags.multi_output
        if y.ndim == 2 and y.shape[1] > 1 and not several_allowed:
            raise ValueError(
                f"y must be one column: {type(self).__name__} supports a single "
                f"output only, got shape {y.shape}"
            )
        if y.ndim == 0 or (y.ndim == 2 and y.shape[1] == 1):
            y = column_or_1d(y, warn=self._warns_of_a_column)
        check_consistent_length(X, y)
        return X, y

    def _lists_categories(self) -> bool:
        """Return whether columns of an array may be categorical."""
        features = self.categorical_features
        return not (features is None or isinstance(features, str))

    def _reset_features(self, X: Any) -> None:
        """Set ``n_features_in_`` and ``feature_names_in_`` from checked input."""
        if is_frame(X):
            _check_feature_names(self, X, reset=True)
            _check_n_features(self, X, reset=True)
            return
        self.n_features_in_ = X.shape[1]
        vars(self).pop("feature_names_in_", None)
        if isinstance(X, EncodedTable) and X.feature_names is not None:
            self.feature_names_in_ = X.feature_names

    def _check_weights(
        self,
        sample_weight: Any,
        class_weights: NDArray[np.float64] | None,
        X: Any,
    ) -> NDArray[np.float64] | None:
        """Return the product of the weights, or None if there are none."""
        if sample_weight is None and class_weights is None:
            return None
        weights = np.ones(1)
        if sample_weight is not None:
            weights = _check_sample_weight(
                sample_weight, X, dtype=np.float64, ensure_non_negative=True
            )
        if class_weights is not None:
            weights = weights * class_weights
            if not np.all(weights >= 0.0) or not np.all(np.isfinite(weights)):
                raise ValueError(
                    "class_weight must give finite weights that are not negative, "
                    f"got {self.class_weight!r}"
                )
        if not weights.any():
            raise ValueError(
                "sample_weight and class_weight leave no row with a positive weight"
            )
        return weights

    def _matrix(self, X: Any, check_input: bool = True) -> NDArray[Any] | SparseRows:
        """Return `X` as `inference` takes it."""
        if isinstance(X, EncodedTable):
            return self.schema_.to_matrix(X)
        if sparse.issparse(X):
            check_sparse(X)
        if not check_input:
            check_unchecked(X)
            _check_n_features(self, X, reset=False)
            # Categories must become codes, checked or not.
            schema = self.schema_ if self.schema_.has_categories else None
            if sparse.issparse(X):
                return SparseRows(X, schema)
            return X if schema is None else schema.to_matrix(X)
        if is_frame(X):
            if not hasattr(self, "feature_names_in_"):
                _check_feature_names(self, X, reset=False)
                _check_n_features(self, X, reset=False)
        else:
            labels = holds_labels(X) and self.schema_.has_categories
            X = validate_data(
                self,
                X,
                reset=False,
                accept_sparse="csr",
                ensure_all_finite=False,
                dtype=_DTYPE[labels],
            )
        if sparse.issparse(X):
            return SparseRows(X, self.schema_)
        return self.schema_.to_matrix(X)

    def _growth_params(self, n_rows: int, n_features: int) -> plan.GrowthParams:
        min_samples_leaf = resolve_min_samples(self.min_samples_leaf, n_rows, 1)
        min_samples_split = resolve_min_samples(self.min_samples_split, n_rows, 2)
        return plan.GrowthParams(
            criterion=_CRITERION_ALIASES.get(self.criterion, self.criterion),
            max_depth=None if self.max_depth is None else int(self.max_depth),
            min_samples_split=max(min_samples_split, 2 * min_samples_leaf),
            min_samples_leaf=min_samples_leaf,
            min_weight_fraction_leaf=float(self.min_weight_fraction_leaf),
            min_samples_category=int(self.min_samples_category),
            max_features=resolve_max_features(self.max_features, n_features),
            max_leaf_nodes=(
                None if self.max_leaf_nodes is None else int(self.max_leaf_nodes)
            ),
            min_impurity_decrease=float(self.min_impurity_decrease),
            seed=resolve_seed(self.random_state),
            splitter=self.splitter,
        )

    def _n_threads(self) -> int:
        return resolve_n_jobs(self.n_jobs)


def resolve_seed(random_state: Any) -> int:
    """Return the seed, in 0..2**63 - 1, that `random_state` stands for.

    A number is its own seed: random numbers are hashes of it.
    """
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**63 - 1, dtype=np.int64))


def resolve_min_samples(value: float, n_rows: int, at_least: int) -> int:
    """Return a number of rows that is given as a number or a fraction."""
    if isinstance(value, Integral):
        return int(value)
    return max(at_least, math.ceil(value * n_rows))


def resolve_max_features(max_features: float | str | None, n: int) -> int:
    """Return how many of `n` features a split looks at."""
    if max_features is None:
        return n
    if max_features == "sqrt":
        return max(1, int(np.sqrt(n)))
    if max_features == "log2":
        return max(1, int(np.log2(n)))
    if isinstance(max_features, Integral):
        return min(int(max_features), n)
    return max(1, int(max_features * n))
