"""fasttree: fast, reproducible decision trees behind scikit-learn's interface."""
