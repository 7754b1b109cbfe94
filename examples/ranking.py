"""Train a ranker on grouped data and rank candidates for one user.

Users see titles and grade some of them. The ranker learns from the grades, query by
query (LambdaMART); for a new user it orders the candidates by its score plus the
logarithm of a prior, here how often a title is watched at all.

    python examples/ranking.py
"""

import numpy as np

from fasttree import GradientBoostingRanker

N_USERS, N_TITLES, N_TASTES = 400, 300, 6


def make_data(rng):
    """Return features, grades and the user of each row, and the titles' popularity."""
    titles = rng.normal(size=(N_TITLES, N_TASTES))
    popularity = rng.dirichlet(np.full(N_TITLES, 0.5))
    rows, grades, users = [], [], []
    for user in range(N_USERS):
        taste = rng.normal(size=N_TASTES)
        shown = rng.choice(N_TITLES, 30, replace=False)
        liking = titles[shown] @ taste + 0.5 * rng.normal(size=30)
        match = titles[shown] * taste
        rows.append(np.hstack([match, titles[shown], np.abs(match)]))
        grades.append(np.digitize(liking, [0.5, 2.0, 3.5, 5.0]))
        users.append(np.full(30, user))
    X = np.vstack(rows).astype(np.float32)
    return X, np.concatenate(grades), np.concatenate(users), popularity


def main():
    """Print NDCG@10 on users that were not seen, and one user's best titles."""
    X, y, users, popularity = make_data(np.random.default_rng(0))
    known = users < N_USERS * 4 // 5
    ranker = GradientBoostingRanker(max_iter=50, ndcg_at=10, random_state=0)
    ranker.fit(X[known], y[known], qid=users[known])
    new = ~known
    print(f"NDCG@10 of new users: {ranker.score(X[new], y[new], qid=users[new]):.3f}")

    candidates = X[users == N_USERS - 1]
    prior = popularity[: len(candidates)] + 1e-4
    print("best five by score:          ", ranker.rank(candidates, k=5))
    print("best five by score and prior:", ranker.rank(candidates, prior=prior, k=5))


if __name__ == "__main__":
    main()
