"""Trees: their arrays, checks, statistics, pruning and pictures."""
