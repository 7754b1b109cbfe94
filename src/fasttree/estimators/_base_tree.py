"""What single trees of every kind have in common."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.base import clone
from sklearn.utils import Bunch, metadata_routing
from sklearn.utils.validation import check_is_fitted

from fasttree.data.table import EncodedTable
from fasttree.estimators._base import (
    TableInputMixin,
    resolve_max_features,
)
from fasttree.estimators._saving import SavableMixin, make_state
from fasttree.estimators._tree_parameters import resolve_constraints
from fasttree.growth import plan
from fasttree.prediction import inference
from fasttree.prediction.ensemble import Ensemble
from fasttree.trees import pruning

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray
    from scipy import sparse

    from fasttree.storage.model_state import ModelState


class BaseDecisionTree(SavableMixin, TableInputMixin):
    """What both kinds of tree share."""

    # As in scikit-learn: an optimisation, not for pipelines to pass around.
    __metadata_request__fit: ClassVar = {"check_input": metadata_routing.UNUSED}
    __metadata_request__predict: ClassVar = {"check_input": metadata_routing.UNUSED}
    __metadata_request__predict_proba: ClassVar = {
        "check_input": metadata_routing.UNUSED
    }

    _warns_of_a_column: ClassVar[bool] = False

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _read_table(
        self, X: Any, sample_weight: NDArray[np.float64] | None, n_outputs: int
    ) -> EncodedTable:
        """Return `X` encoded, as the tree will read it; `X` has been checked."""
        if isinstance(X, EncodedTable):
            self._check_not_encoded()
            return X
        options = {
            "max_bins": self.max_bins,
            "categorical_features": self.categorical_features,
            "sample_weight": sample_weight,
            "n_jobs": self.n_jobs,
        }
        if self.honest:
            # Rows are taken out of it and read again.
            return EncodedTable.from_data(X, **options)
        if self.splitter == "random":
            return EncodedTable.for_drawn_splits(X, **options)
        n_features = self.n_features_in_
        if (
            self.max_leaf_nodes is None
            and not self.stability_report
            and resolve_max_features(self.max_features, n_features) < n_features
        ):
            return EncodedTable.from_data(X, **options)
        in_tiles = plan.uses_tiles(
            is_weighted=sample_weight is not None,
            criterion=self.criterion,
            n_outputs=n_outputs,
        )
        return EncodedTable.for_best_splits(X, **options, in_tiles=in_tiles)

    def _tree_params(
        self,
        n_rows: int,
        table: EncodedTable,
        classes: list[NDArray[Any]],
        n_outputs: int,
    ) -> plan.GrowthParams:
        labels = classes[0] if classes else None
        return replace(
            self._growth_params(n_rows, table.n_features),
            monotone=resolve_constraints(self, table, labels, n_outputs),
            honest=self.honest,
            keeps_margins=self.stability_report,
        )

    def _keep(self, table: EncodedTable, params: plan.GrowthParams) -> None:
        if self.ccp_alpha > 0.0:
            self.tree_ = pruning.prune(self.tree_, float(self.ccp_alpha))
        self.schema_ = table.schema
        self.n_outputs_ = self.tree_.n_outputs
        self.max_features_ = params.max_features

    def _to_state(self) -> ModelState:
        ensemble = Ensemble.from_trees([self.tree_])
        return make_state(
            self,
            ensemble,
            attributes={"max_features": self.max_features_},
            arrays=self.tree_.margins,
        )

    def _take_state(self, state: ModelState, ensemble: Ensemble) -> None:
        (self.tree_,) = ensemble
        if state.arrays:
            self.tree_ = self.tree_.with_margins(state.arrays)
        self.max_features_ = state.attributes["max_features"]

    def _of_leaves(
        self, read: Callable[..., NDArray[Any]], X: Any, check_input: bool
    ) -> NDArray[Any]:
        """Return what a function of `inference` reads in the leaves of rows."""
        check_is_fitted(self)
        return read(self.tree_, self._matrix(X, check_input), self._n_threads())

    def get_depth(self) -> int:
        """Return the number of steps from the root to the deepest leaf."""
        check_is_fitted(self)
        return self.tree_.max_depth

    def get_n_leaves(self) -> int:
        """Return the number of leaves."""
        check_is_fitted(self)
        return self.tree_.n_leaves

    def apply(self, X: ArrayLike, check_input: bool = True) -> NDArray[np.intp]:
        """Return the node number of the leaf that each row reaches.

        Parameters
        ----------
        X : {array-like, sparse, data frame} of shape (n_samples, n_features)
        check_input : bool, default=True
            False leaves out the checks and conversions of `X`, which must be an
            array of numbers or sparse then, for those who have done them.

        Returns
        -------
        ndarray of shape (n_samples,), intp
        """
        return self._of_leaves(inference.apply, X, check_input)

    def decision_path(
        self, X: ArrayLike, check_input: bool = True
    ) -> sparse.csr_matrix | sparse.csr_array:
        """Return which nodes each row goes through.

        Parameters
        ----------
        X : {array-like, sparse, data frame} of shape (n_samples, n_features)
        check_input : bool, default=True
            False leaves out the checks and conversions of `X`, which must be an
            array of numbers or sparse then, for those who have done them.

        Returns
        -------
        CSR matrix of shape (n_samples, node_count)
            1 at the nodes of each row's path, which are stored from the root to
            the leaf.
        """
        nodes = self.apply(X, check_input)
        return self.tree_.paths_to(nodes)

    def cost_complexity_pruning_path(
        self,
        X: ArrayLike | EncodedTable,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
    ) -> Bunch:
        """Return what minimal cost-complexity pruning does, step by step.

        A tree of the same parameters is grown, and `ccp_alpha` has no part in it.

        Parameters
        ----------
        X : {array-like, sparse, data frame, EncodedTable} of shape \
(n_samples, n_features)
            As in `fit`.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            As in `fit`.
        sample_weight : array-like of shape (n_samples,), default=None
            As in `fit`.

        Returns
        -------
        Bunch
            ccp_alphas : ndarray of shape (n_steps,)
                Effective alpha of each step, values for `ccp_alpha`.
            impurities : ndarray of shape (n_steps,)
                Weighted sum of the impurities of the leaves that are left.

        Raises
        ------
        ValueError
            If a parameter or the data cannot be used.
        """
        model = clone(self).set_params(ccp_alpha=0.0)
        model.fit(X, y, sample_weight=sample_weight)
        ccp_alphas, impurities = pruning.pruning_path(model.tree_)
        return Bunch(ccp_alphas=ccp_alphas, impurities=impurities)

    @property
    def stability_report_(self) -> Bunch:
        """How much each node's split is ahead of the best split of another feature.

        Entries of leaves are -2 and NaN, as are those of a runner-up where no other
        feature could split the node.

        Returns
        -------
        Bunch
            feature : ndarray of shape (node_count,)
                Of the node's split, as in ``tree_``.
            gain : ndarray of shape (node_count,)
                Its weighted decrease of impurity, as `min_impurity_decrease` counts
                it; of the rows that chose it.
            runner_up : ndarray of shape (node_count,)
                The other feature whose best split is next.
            runner_up_gain : ndarray of shape (node_count,)
                The weighted decrease by that split.
            margin : ndarray of shape (node_count,)
                Share of `gain` that would be lost by taking the runner-up: 0 is a
                tie, 1 that there is no other way to split.

        Raises
        ------
        AttributeError
            If the tree was not fitted with ``stability_report=True``.
        """
        check_is_fitted(self)
        if not self.tree_.has_margins:
            raise AttributeError(
                "there is no stability_report_: fit with stability_report=True"
            )
        margins = self.tree_.margins
        other = np.where(margins["runner_up"] >= 0, margins["runner_up_gain"], 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            margin = (margins["gain"] - other) / margins["gain"]
        margin[margins["gain"] == 0.0] = 0.0
        return Bunch(feature=self.tree_.feature, margin=margin, **margins)

    @property
    def feature_importances_(self) -> NDArray[np.float64]:
        """ndarray of shape (n_features,): share in lowering the impurity."""
        check_is_fitted(self)
        return self.tree_.compute_feature_importances()
