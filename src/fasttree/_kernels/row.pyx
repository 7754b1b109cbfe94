"""Kernels: one row through all trees, from Python in about a microsecond.

There is no memoryview here, and nothing is allocated but the result: arguments are
read through the C interfaces of Python and NumPy into a buffer on the stack.
"""

import numpy as np
cimport numpy as cnp
from cpython.dict cimport PyDict_GetItem
from cpython.float cimport PyFloat_AsDouble, PyFloat_FromDouble
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.object cimport PyObject
from libc.math cimport NAN, isinf
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.stddef cimport ptrdiff_t

from fasttree._kernels.leaf_masks cimport LeafMasks, add_worth, find_left
from fasttree._kernels.links cimport IDENTITY, LOGISTIC, apply_link
from fasttree._kernels.nodes cimport (
    Layout, NarrowNode, WideNode, mask_of, node_t, real, step, write_row
)

cnp.import_array()

cdef enum:
    # Trees that walk abreast.
    LANES = 8
    STRIDE = 4
    # Values, slots and outputs that fit on the stack; more are allocated.
    STACK_VALUES = 256
    STACK_SLOTS = 512
    STACK_COLUMNS = 64
    STACK_WORDS = 512

cdef class RowPredictor:
    """Trees ready for single rows; see `fasttree.Predictor`.

    The arrays are kept alive and are not written to, so that any number of threads
    may predict. They must have been checked.
    """

    cdef object _owned              # the arrays that the pointers point into
    cdef Layout _layout
    cdef bint _has_masks
    cdef bint _releases_gil
    cdef LeafMasks _masks           # unless trees are walked
    cdef bint _is_wide
    cdef const void* _nodes
    cdef const int64_t* _tree_start
    cdef ptrdiff_t _n_trees
    cdef ptrdiff_t _n_features
    cdef const double* _table       # (n_payloads, width), or NULL
    cdef ptrdiff_t _width
    cdef const int64_t* _entry_start
    cdef const int32_t* _entry_column
    cdef const double* _entry_value
    cdef const int32_t* _column     # (n_trees,)
    cdef const double* _baseline    # (n_columns,)
    cdef ptrdiff_t _n_columns
    cdef double _divisor
    cdef int _link
    cdef tuple _names               # of the features, or None
    cdef dict _positions            # of the names
    cdef tuple _codes               # of each feature's categories, or None
    cdef bint _has_codes
    cdef bint _refuses_unknown
    cdef tuple _classes             # labels of each output, or None

    def __init__(
        self,
        cnp.ndarray nodes not None,
        cnp.ndarray tree_start not None,
        int slot_bits,
        int32_t first_set_slot,
        cnp.ndarray slot_feature not None,
        cnp.ndarray slot_missing not None,
        cnp.ndarray cuts not None,
        cnp.ndarray cut_start not None,
        cnp.ndarray words not None,
        cnp.ndarray table not None,
        cnp.ndarray entry_start not None,
        cnp.ndarray entry_column not None,
        cnp.ndarray entry_value not None,
        cnp.ndarray column not None,
        cnp.ndarray baseline not None,
        *,
        object masks,
        bint releases_gil,
        ptrdiff_t n_features,
        double divisor,
        int link,
        tuple names,
        tuple codes,
        tuple classes,
        bint refuses_unknown,
    ):
        self._owned = (
            nodes, tree_start, slot_feature, slot_missing, cuts, cut_start, words,
            table, entry_start, entry_column, entry_value, column, baseline, masks,
        )
        self._layout.slot_bits = slot_bits
        self._layout.n_slots = <int32_t> cnp.PyArray_SIZE(slot_feature)
        self._layout.first_set_slot = first_set_slot
        self._layout.slot_feature = <const int32_t*> cnp.PyArray_DATA(slot_feature)
        self._layout.slot_missing = <const uint32_t*> cnp.PyArray_DATA(slot_missing)
        self._layout.cuts = NULL
        self._layout.cut_start = NULL
        if cnp.PyArray_SIZE(cut_start) > 0:
            self._layout.cuts = <const double*> cnp.PyArray_DATA(cuts)
            self._layout.cut_start = <const int64_t*> cnp.PyArray_DATA(cut_start)
        self._layout.words = <const uint64_t*> cnp.PyArray_DATA(words)
        self._is_wide = cnp.PyArray_DIM(nodes, 1) == 3
        self._nodes = cnp.PyArray_DATA(nodes)
        self._tree_start = <const int64_t*> cnp.PyArray_DATA(tree_start)
        self._n_trees = cnp.PyArray_SIZE(tree_start) - 1
        self._n_features = n_features
        self._table = NULL
        if cnp.PyArray_DIM(table, 0) > 0:
            self._table = <const double*> cnp.PyArray_DATA(table)
        self._width = cnp.PyArray_DIM(table, 1)
        self._entry_start = <const int64_t*> cnp.PyArray_DATA(entry_start)
        self._entry_column = <const int32_t*> cnp.PyArray_DATA(entry_column)
        self._entry_value = <const double*> cnp.PyArray_DATA(entry_value)
        self._column = <const int32_t*> cnp.PyArray_DATA(column)
        self._baseline = <const double*> cnp.PyArray_DATA(baseline)
        self._n_columns = cnp.PyArray_SIZE(baseline)
        self._divisor = divisor
        self._link = link
        self._names = names
        self._positions = None
        if names is not None:
            self._positions = {name: i for i, name in enumerate(names)}
        self._codes = codes
        self._has_codes = codes is not None
        self._classes = classes
        self._refuses_unknown = refuses_unknown
        self._releases_gil = releases_gil
        self._has_masks = masks is not None
        if self._has_masks:
            self._set_masks(masks.arrays, masks.first_set, masks.word_size, masks.shift)

    cdef int _set_masks(
        self, tuple arrays, ptrdiff_t first_set, int word_size, int shift
    ) except -1:
        cdef LeafMasks* masks = &self._masks
        cdef cnp.ndarray feature, n_ranks, first_rank, first_row, missing_row, cuts
        cdef cnp.ndarray coarse, fine, entry_start, entry_tree, entry_word, rows, worth
        (
            feature, n_ranks, first_rank, first_row, missing_row, cuts, coarse, fine,
            entry_start, entry_tree, entry_word, rows, worth,
        ) = arrays
        masks.n_trees = self._n_trees
        masks.n_columns = cnp.PyArray_SIZE(feature)
        masks.first_set = first_set
        masks.row_size = cnp.PyArray_DIM(rows, 1) * word_size
        masks.word_size = word_size
        masks.shift = shift
        masks.feature = <const int32_t*> cnp.PyArray_DATA(feature)
        masks.n_ranks = <const int32_t*> cnp.PyArray_DATA(n_ranks)
        masks.first_rank = <const int64_t*> cnp.PyArray_DATA(first_rank)
        masks.first_row = <const int64_t*> cnp.PyArray_DATA(first_row)
        masks.missing_row = <const int64_t*> cnp.PyArray_DATA(missing_row)
        masks.cuts = <const double*> cnp.PyArray_DATA(cuts)
        masks.coarse = NULL
        if cnp.PyArray_SIZE(coarse) > 0:
            masks.coarse = <const float*> cnp.PyArray_DATA(coarse)
        masks.fine = <const float*> cnp.PyArray_DATA(fine)
        masks.entry_start = <const int64_t*> cnp.PyArray_DATA(entry_start)
        masks.entry_tree = <const int32_t*> cnp.PyArray_DATA(entry_tree)
        masks.entry_word = cnp.PyArray_DATA(entry_word)
        masks.rows = cnp.PyArray_DATA(rows)
        masks.worth = <const double*> cnp.PyArray_DATA(worth)
        masks.width = cnp.PyArray_DIM(worth, 2)
        return 0

    def predict_one(self, row):
        """Return the prediction for one row.

        Parameters
        ----------
        row : ndarray, list, tuple or mapping
            The values in the order of the features, or by their names. Numbers and
            the labels of categories; NaN or None where missing. float32 and
            float64 arrays are read in place.

        Returns
        -------
        float, or label of the class
            A list of labels, or ndarray of values, where there are several outputs.

        Raises
        ------
        ValueError
            If there are too few or too many values, names that do not match, an
            infinite value or, where the model says so, an unknown category.
        TypeError
            If a value is not of its feature's kind.
        """
        cdef double stack[STACK_COLUMNS]
        cdef double* out = stack
        cdef ptrdiff_t start, i, best
        if self._classes is None:
            if self._n_columns != 1:
                return self._scores(row)
            self._read_and_add(row, out)
            apply_link(self._link, out, 1, out)
            return PyFloat_FromDouble(out[0])
        if self._n_columns > STACK_COLUMNS:
            out = <double*> PyMem_Malloc(self._n_columns * sizeof(double))
            if out == NULL:
                raise MemoryError
        try:
            self._read_and_add(row, out)
            if self._link == LOGISTIC:
                return (<tuple> self._classes[0])[1 if out[0] > 0.0 else 0]
            start = 0
            winners = []
            for labels in self._classes:
                best = 0
                for i in range(1, len(<tuple> labels)):
                    if out[start + i] > out[start + best]:
                        best = i
                if len(self._classes) == 1:
                    return (<tuple> labels)[best]
                winners.append((<tuple> labels)[best])
                start += len(<tuple> labels)
            return winners
        finally:
            if out != stack:
                PyMem_Free(out)

    def predict_proba_one(self, row):
        """Return the class probabilities of one row.

        Parameters
        ----------
        row : ndarray, list, tuple or mapping
            As in `predict_one`.

        Returns
        -------
        ndarray of shape (n_classes,), float64
            A list of them where there are several outputs.

        Raises
        ------
        AttributeError
            If the model is not a classifier.
        ValueError, TypeError
            As in `predict_one`.
        """
        cdef ptrdiff_t start = 0
        if self._classes is None:
            raise AttributeError("a regression model has no predict_proba_one")
        scores = self._linked(row)
        if len(self._classes) == 1:
            return scores
        parts = []
        for labels in self._classes:
            parts.append(scores[start : start + len(labels)])
            start += len(labels)
        return parts

    def score_one(self, row):
        """Return the columns of one row before they become labels, float64."""
        return self._scores(row)

    cdef object _linked(self, object row):
        cdef cnp.ndarray raw = self._scores(row)
        cdef cnp.npy_intp size = 2
        cdef cnp.ndarray out = raw
        if self._link == IDENTITY:
            return raw
        if self._link == LOGISTIC:
            out = cnp.PyArray_EMPTY(1, &size, cnp.NPY_FLOAT64, 0)
        apply_link(
            self._link, <const double*> cnp.PyArray_DATA(raw), self._n_columns,
            <double*> cnp.PyArray_DATA(out),
        )
        return out

    cdef object _scores(self, object row):
        cdef cnp.npy_intp size = self._n_columns
        cdef cnp.ndarray out = cnp.PyArray_EMPTY(1, &size, cnp.NPY_FLOAT64, 0)
        self._read_and_add(row, <double*> cnp.PyArray_DATA(out))
        return out

    cdef int _read_and_add(self, object row, double* out) except -1:
        cdef double stack[STACK_VALUES]
        cdef double* values = stack
        if isinstance(row, cnp.ndarray) and not self._has_codes:
            if self._add_array(<cnp.ndarray> row, out):
                return 0
        if self._n_features > STACK_VALUES:
            values = <double*> PyMem_Malloc(self._n_features * sizeof(double))
            if values == NULL:
                raise MemoryError
        try:
            self._read(row, values)
            self._add(values, out)
        finally:
            if values != stack:
                PyMem_Free(values)
        return 0

    cdef int _add_array(self, cnp.ndarray row, double* out) except -1:
        """Predict a plain array in place, or return 0 if it is not plain."""
        cdef int kind = cnp.PyArray_TYPE(row)
        cdef const double* doubles
        cdef const float* floats
        cdef ptrdiff_t i
        cdef bint is_finite = True
        if (
            cnp.PyArray_SIZE(row) != self._n_features
            or not cnp.PyArray_IS_C_CONTIGUOUS(row)
            or not cnp.PyArray_ISALIGNED(row)
            or not cnp.PyArray_ISNOTSWAPPED(row)
            or cnp.PyArray_NDIM(row) > 2
            or (cnp.PyArray_NDIM(row) == 2 and cnp.PyArray_DIM(row, 0) != 1)
        ):
            return 0
        if kind == cnp.NPY_FLOAT64:
            doubles = <const double*> cnp.PyArray_DATA(row)
            for i in range(self._n_features):
                is_finite &= not isinf(doubles[i])
            if is_finite:
                self._add(doubles, out)
        elif kind == cnp.NPY_FLOAT32:
            floats = <const float*> cnp.PyArray_DATA(row)
            for i in range(self._n_features):
                is_finite &= not isinf(floats[i])
            if is_finite:
                self._add(floats, out)
        else:
            return 0
        if not is_finite:
            raise ValueError("row has an infinite value")
        return 1

    cdef int _read(self, object row, double* values) except -1:
        """Read whatever holds one row."""
        cdef ptrdiff_t i
        cdef PyObject* found
        if isinstance(row, list):
            if len(<list> row) != self._n_features:
                self._raise_length(len(<list> row))
            for i in range(self._n_features):
                # Read anew: a conversion may run code that shortens the list.
                if i >= len(<list> row):
                    self._raise_length(i)
                value = (<list> row)[i]
                values[i] = self._value(i, value)
        elif isinstance(row, tuple):
            if len(<tuple> row) != self._n_features:
                self._raise_length(len(<tuple> row))
            for i in range(self._n_features):
                values[i] = self._value(i, (<tuple> row)[i])
        elif isinstance(row, dict) and self._positions is not None:
            if len(<dict> row) != self._n_features:
                self._raise_names(row)
            for i in range(self._n_features):
                found = PyDict_GetItem(<dict> row, <object> self._names[i])
                if found == NULL:
                    self._raise_names(row)
                values[i] = self._value(i, <object> found)
        else:
            self._read_slowly(row, values)
        return 0

    cdef int _read_slowly(self, object row, double* values) except -1:
        cdef ptrdiff_t i
        if hasattr(row, "keys"):
            if self._positions is None:
                raise ValueError(
                    "row must be a sequence: the model was fitted without feature "
                    "names, so a mapping cannot be read"
                )
            if set(row.keys()) != self._positions.keys():
                self._raise_names(row)
            items = [row[name] for name in self._names]
        else:
            if isinstance(row, (str, bytes)) or not hasattr(row, "__len__"):
                raise TypeError(
                    "row must be a sequence, an array or a mapping, got "
                    f"{type(row).__name__}"
                )
            if isinstance(row, np.ndarray) and row.ndim == 2 and len(row) == 1:
                row = row[0]
            if getattr(row, "ndim", 1) != 1:
                raise ValueError(f"row must be one row, got shape {row.shape}")
            items = list(row)
        if len(items) != self._n_features:
            self._raise_length(len(items))
        for i in range(self._n_features):
            values[i] = self._value(i, items[i])
        return 0

    cdef double _value(self, ptrdiff_t feature, object value) except? -1.0:
        """Return a value as a number, or as its category's code."""
        cdef double number
        cdef PyObject* code
        cdef object codes = None
        if self._has_codes:
            codes = <object> self._codes[feature]
        if codes is None:
            if value is None:
                return NAN
            try:
                number = PyFloat_AsDouble(value)
            except TypeError:
                if value != value or type(value).__name__ in ("NAType", "NaTType"):
                    return NAN
                raise TypeError(
                    f"{self._name(feature)} must be a number, got {value!r}"
                ) from None
            except OverflowError:
                raise ValueError(
                    f"{self._name(feature)} is too large a number"
                ) from None
            if isinf(number):
                raise ValueError(f"{self._name(feature)} is infinite")
            return number
        if value is None:
            return NAN
        code = PyDict_GetItem(<dict> codes, value)
        if code != NULL:
            return PyFloat_AsDouble(<object> code)
        try:
            if value != value:
                return NAN
        except TypeError:
            # pandas.NA does not say.
            return NAN
        if self._refuses_unknown:
            raise ValueError(
                f"{self._name(feature)} has the category {value!r}, which the training "
                "data did not have"
            )
        return NAN

    cdef str _name(self, ptrdiff_t feature):
        if self._names is not None:
            return f"feature {self._names[feature]!r}"
        return f"feature {feature}"

    cdef int _raise_length(self, ptrdiff_t got) except -1:
        raise ValueError(
            f"row has {got} values, but the model expects {self._n_features} features"
        )

    cdef int _raise_names(self, object row) except -1:
        absent = [name for name in self._names if name not in row]
        unseen = [name for name in row if name not in self._positions]
        raise ValueError(
            f"row must have the model's features by name: missing {absent}, unknown "
            f"{unseen}"
        )

    cdef int _add(self, const real* values, double* out) except -1:
        """Write what the trees say of a row that is complete and finite."""
        cdef ptrdiff_t i
        for i in range(self._n_columns):
            out[i] = self._baseline[i]
        if self._has_masks:
            self._look_up(values, out)
        else:
            self._walk(values, out)
        if self._divisor != 1.0:
            for i in range(self._n_columns):
                out[i] /= self._divisor
        return 0

    cdef int _look_up(self, const real* values, double* out) except -1:
        cdef uint64_t stack[STACK_WORDS]
        cdef uint64_t* left = stack
        if self._masks.row_size > STACK_WORDS * 8:
            left = <uint64_t*> PyMem_Malloc(self._masks.row_size)
            if left == NULL:
                raise MemoryError
        if self._releases_gil:
            with nogil:
                _look_up_trees(self, values, left, out)
        else:
            _look_up_trees(self, values, left, out)
        if left != stack:
            PyMem_Free(left)
        return 0

    cdef int _walk(self, const real* values, double* out) except -1:
        cdef uint32_t stack[STACK_SLOTS]
        cdef uint32_t* slots = stack
        if self._layout.n_slots > STACK_SLOTS:
            slots = <uint32_t*> PyMem_Malloc(self._layout.n_slots * sizeof(uint32_t))
            if slots == NULL:
                raise MemoryError
        write_row(values, &self._layout, slots)
        if self._releases_gil:
            with nogil:
                _walk_all(self, slots, out)
        else:
            _walk_all(self, slots, out)
        if slots != stack:
            PyMem_Free(slots)
        return 0


cdef void _look_up_trees(
    RowPredictor self, const real* values, uint64_t* left, double* out
) noexcept nogil:
    find_left(values, &self._masks, left)
    if self._masks.word_size == 4:
        add_worth(
            &self._masks, <const uint32_t*> left, self._column, out, self._n_columns
        )
    else:
        add_worth(
            &self._masks, <const uint64_t*> left, self._column, out, self._n_columns
        )


cdef void _walk_all(
    RowPredictor self, const uint32_t* slots, double* out
) noexcept nogil:
    if self._is_wide:
        _walk_trees(self, <const WideNode*> self._nodes, slots, out)
    else:
        _walk_trees(self, <const NarrowNode*> self._nodes, slots, out)


cdef void _walk_trees(
    RowPredictor self, const node_t* nodes, const uint32_t* slots, double* out
) noexcept nogil:
    cdef const node_t* trees[LANES]
    cdef uint32_t at[LANES]
    cdef ptrdiff_t first = 0
    cdef ptrdiff_t tree, entry, k
    cdef int n_lanes, lane, _
    cdef uint32_t position, moved
    cdef uint32_t payload
    cdef const double* values
    cdef int slot_bits = self._layout.slot_bits
    cdef uint32_t mask = mask_of(slot_bits)
    cdef uint32_t first_set = <uint32_t> self._layout.first_set_slot
    cdef const uint64_t* words = self._layout.words
    cdef bint sets = self._layout.first_set_slot < self._layout.n_slots
    while first < self._n_trees:
        n_lanes = <int> min(<ptrdiff_t> LANES, self._n_trees - first)
        for lane in range(LANES):
            # The last group is filled up with its last tree.
            trees[lane] = nodes + self._tree_start[first + min(lane, n_lanes - 1)]
            at[lane] = 0
        moved = 1
        while moved != 0:
            moved = 0
            if sets:
                for _ in range(STRIDE):
                    for lane in range(LANES):
                        position = at[lane]
                        at[lane] = step(
                            trees[lane], slots, position, slot_bits, mask,
                            first_set, words, True,
                        )
                        moved |= position ^ at[lane]
            else:
                for _ in range(STRIDE - 1):
                    for lane in range(LANES):
                        at[lane] = step(
                            trees[lane], slots, at[lane], slot_bits, mask,
                            first_set, words, False,
                        )
                for lane in range(LANES):
                    position = at[lane]
                    at[lane] = step(
                        trees[lane], slots, position, slot_bits, mask, first_set,
                        words, False,
                    )
                    moved |= position ^ at[lane]
        for lane in range(n_lanes):
            tree = first + lane
            payload = trees[lane][at[lane]].key
            if self._table != NULL:
                values = self._table + self._width * <ptrdiff_t> payload
                for k in range(self._width):
                    out[self._column[tree] + k] += values[k]
            else:
                for entry in range(
                    self._entry_start[payload], self._entry_start[payload + 1]
                ):
                    out[self._column[tree] + self._entry_column[entry]] += (
                        self._entry_value[entry]
                    )
        first += n_lanes


def link_rows(
    int link,
    const double[:, ::1] raw,           # IN  (n_rows, n_columns)
    double[:, ::1] out,                 # OUT (n_rows, 2 under LOGISTIC, or n_columns)
):
    """Write the predictions of rows from their raw scores."""
    cdef ptrdiff_t row
    with nogil:
        for row in range(raw.shape[0]):
            apply_link(link, &raw[row, 0], raw.shape[1], &out[row, 0])
