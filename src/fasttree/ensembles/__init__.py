"""Growing many trees: forests and boosting."""
