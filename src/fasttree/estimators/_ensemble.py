"""What estimators of many trees share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sklearn.utils.validation import check_is_fitted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


class EnsembleMixin:
    """For estimators that have their trees in ``_ensemble``."""

    _ensemble: Any

    def apply(self, X: ArrayLike) -> NDArray[np.intp]:
        """Return the node number of the leaf that each row reaches in each tree.

        Parameters
        ----------
        X : {array-like, sparse, data frame} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_trees), intp
        """
        check_is_fitted(self)
        return self._ensemble.leaves(self._matrix(X), self._n_threads())
