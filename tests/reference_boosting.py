"""Boosting in plain NumPy: float64 histograms, every split of every leaf scored."""

import heapq

import numpy as np
from scipy.special import expit


class Booster:
    """Leaf-wise trees of second-order gains on numeric codes.

    Parameters
    ----------
    codes : int array of shape (n_rows, n_features)
        ``n_codes[f]`` is a missing value.
    n_codes : sequence of int
    loss : {"squared_error", "log_loss"}
    """

    def __init__(self, n_codes, loss, *, trees, leaves, rate=0.1, min_leaf=20):
        self.n_codes = list(n_codes)
        self.loss = loss
        self.trees, self.leaves, self.rate = trees, leaves, rate
        self.min_leaf = min_leaf

    def fit(self, codes, y):
        mean = y.mean()
        self.start = np.log(mean / (1 - mean)) if self.loss == "log_loss" else mean
        raw = np.full(len(y), self.start)
        self.grown = []
        for _ in range(self.trees):
            if self.loss == "log_loss":
                p = 1 / (1 + np.exp(-raw))
                g, h = p - y, p * (1 - p)
            else:
                g, h = raw - y, np.ones(len(y))
            tree = self._grow(codes, g, h)
            self.grown.append(tree)
            raw += self._walk(tree, codes)
        return self

    def decision_function(self, codes):
        raw = np.full(len(codes), self.start)
        for tree in self.grown:
            raw += self._walk(tree, codes)
        return raw

    def _best(self, codes, g, h, rows):
        best = (1e-12, None)
        G, H = g[rows].sum(), h[rows].sum()
        own = G * G / H if H > 0 else 0.0
        if len(rows) < 2 * self.min_leaf:
            return best
        for f, n in enumerate(self.n_codes):
            c = codes[rows, f]
            sums = [np.bincount(c, w, n + 1) for w in (g[rows], h[rows], None)]
            missing = [s[n] for s in sums]
            for way in (0, 1) if missing[2] else (0,):
                left = [
                    np.cumsum(s[:n]) + way * m
                    for s, m in zip(sums, missing, strict=True)
                ]
                gl, hl, nl = left
                gr, hr, nr = G - gl, H - hl, len(rows) - nl
                ok = (nl >= self.min_leaf) & (nr >= self.min_leaf)
                ok &= (hl >= 1e-3) & (hr >= 1e-3)
                with np.errstate(all="ignore"):
                    gain = np.where(ok, gl**2 / hl + gr**2 / hr - own, -np.inf)
                at = int(np.argmax(gain)) if n else 0
                if n and gain[at] > best[0] * (1 + 1e-12):
                    after = np.flatnonzero(sums[2][at + 1 : n])
                    last = n - 1 if not len(after) else at + after[0] // 2
                    best = (gain[at], (f, last, way, missing[2] > 0))
        return best

    def _grow(self, codes, g, h):
        nodes = [[np.arange(len(g)), None, None, None]]
        heap = []

        def queue(node):
            gain, split = self._best(codes, g, h, nodes[node][0])
            if split is not None:
                heapq.heappush(heap, (-gain, node, split))

        queue(0)
        n_leaves = 1
        while heap and n_leaves < self.leaves:
            _, node, (f, last, way, saw_missing) = heapq.heappop(heap)
            rows = nodes[node][0]
            c = codes[rows, f]
            is_missing = c == self.n_codes[f]
            left = np.where(is_missing, bool(way), c <= last)
            if not saw_missing:
                way = left.sum() > (~left).sum()
            nodes[node][1] = (f, last, way)
            for column, side in ((2, left), (3, ~left)):
                nodes[node][column] = len(nodes)
                nodes.append([rows[side], None, None, None])
                queue(len(nodes) - 1)
            n_leaves += 1
        for node in nodes:
            node[0] = -self.rate * g[node[0]].sum() / h[node[0]].sum()
        return nodes

    def _walk(self, nodes, codes):
        out = np.empty(len(codes))
        stack = [(0, np.arange(len(codes)))]
        while stack:
            node, rows = stack.pop()
            value, split, left, right = nodes[node]
            if split is None:
                out[rows] = value
                continue
            f, last, way = split
            c = codes[rows, f]
            goes = np.where(c == self.n_codes[f], bool(way), c <= last)
            stack += [(left, rows[goes]), (right, rows[~goes])]
        return out


def lambda_gradients(y, score, truncation):
    """Return LambdaMART's gradients and hessians of one query, pair by pair."""
    gain, n = 2.0**y - 1, len(y)
    discount = 1 / np.log2(np.arange(n) + 2)
    best = (np.sort(gain)[::-1] * discount)[:truncation].sum()
    order = np.argsort(-score, kind="stable")
    g, h, total = np.zeros(n), np.zeros(n), 0.0
    for i in range(min(n - 1, truncation)):
        for j in range(i + 1, n):
            a, b = order[i], order[j]
            if gain[a] == gain[b]:
                continue
            high, low = (a, b) if gain[a] > gain[b] else (b, a)
            apart = score[high] - score[low]
            change = (gain[high] - gain[low]) * (discount[i] - discount[j]) / best
            if score.max() != score.min():
                change /= 0.01 + abs(apart)
            p = expit(-apart)
            g[high] -= change * p
            g[low] += change * p
            h[[high, low]] += change * p * (1 - p)
            total += 2 * change * p
    scale = np.log2(1 + total) / total if total > 0 else 1.0
    return g * scale, h * scale
