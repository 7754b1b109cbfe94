"""Parameters read and checked once: scikit-learn does both anew in every fit."""

from __future__ import annotations

from functools import cache
from typing import Any

from sklearn.base import BaseEstimator

_PLAIN = (type(None), bool, int, float, str)
_MOST_CHECKED = 1024
_checked: set[tuple[Any, ...]] = set()


@cache
def _names_of(cls: type[BaseEstimator]) -> tuple[str, ...]:
    return tuple(super(CheckedParametersMixin, cls)._get_param_names())


class CheckedParametersMixin(BaseEstimator):
    """An estimator whose plain parameters are not checked twice.

    On small data a fit takes less time than to look at the constructor's signature and
    at each constraint.
    """

    @classmethod
    def _get_param_names(cls) -> list[str]:
        return list(_names_of(cls))

    def _validate_params(self) -> None:
        """Raise InvalidParameterError for parameters that break their constraints."""
        values = self.get_params(deep=False).values()
        kinds = tuple(map(type, values))
        if not all(kind in _PLAIN for kind in kinds):
            super()._validate_params()
            return
        # 1, 1.0 and True are equal and are not the same parameter.
        key = (type(self), kinds, tuple(values))
        if key not in _checked:
            super()._validate_params()
            if len(_checked) < _MOST_CHECKED:
                _checked.add(key)
