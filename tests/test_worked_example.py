"""docs/worked_example.md: each number on the page, and the tree's choice."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "worked_example.md").read_text("utf-8")
COLUMNS = ["age", "height", "sugar"]


def page_table(first_header: str) -> list[dict[str, str]]:
    """Return the page's Markdown table whose first column has this header."""
    lines = PAGE.splitlines()
    start = next(
        i for i, line in enumerate(lines) if line.startswith(f"| {first_header} |")
    )
    header = [cell.strip() for cell in lines[start].strip("|").split("|")]
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        rows.append(dict(zip(header, cells, strict=True)))
    return rows


PEOPLE = page_table("age")
X = np.array([[float(row[name]) for name in COLUMNS] for row in PEOPLE])
Y = np.array([row["diabetes"] for row in PEOPLE])


def entropy(labels: np.ndarray) -> float:
    _, counts = np.unique(labels, return_counts=True)
    share = counts / counts.sum()
    return float(np.sum(share * np.log2(1 / share)))


def evaluate(column: str, threshold: float) -> dict[str, float]:
    """Return the cells of the page's table of splits."""
    left = X[:, COLUMNS.index(column)] <= threshold
    after = left.mean() * entropy(Y[left]) + (~left).mean() * entropy(Y[~left])
    return {
        "left no": np.sum(Y[left] == "no"),
        "left yes": np.sum(Y[left] == "yes"),
        "right no": np.sum(Y[~left] == "no"),
        "right yes": np.sum(Y[~left] == "yes"),
        "H(left)": entropy(Y[left]),
        "H(right)": entropy(Y[~left]),
        "after": after,
        "gain": entropy(Y) - after,
    }


def every_split() -> list[tuple[str, float]]:
    splits = []
    for i, name in enumerate(COLUMNS):
        values = np.unique(X[:, i])
        splits += [(name, float(t)) for t in (values[:-1] + values[1:]) / 2]
    return splits


def split_name(split: tuple[str, float]) -> str:
    return f"{split[0]} <= {split[1]:g}"


def test_every_split_and_number_of_the_table():
    rows = page_table("split")
    assert [row.pop("split") for row in rows] == [split_name(s) for s in every_split()]
    for row, split in zip(rows, every_split(), strict=True):
        for key, value in evaluate(*split).items():
            decimals = 0 if key.startswith(("left", "right")) else 4
            assert row[key] == f"{value:.{decimals}f}", (split, key)


def test_best_split_of_each_column():
    for row in page_table("column"):
        best = max(
            (s for s in every_split() if s[0] == row["column"]),
            key=lambda s: evaluate(*s)["gain"],
        )
        assert row["best split"] == split_name(best)
        assert row["after"] == f"{evaluate(*best)['after']:.4f}"
        assert row["gain"] == f"{evaluate(*best)['gain']:.4f}"


def test_numbers_in_the_text():
    known = {f"{entropy(Y):.4f}"}
    for split in every_split():
        known |= {f"{value:.4f}" for value in evaluate(*split).values()}
    assert set(re.findall(r"\b\d\.\d{4}\b", PAGE)) <= known

    def correct(column: str, threshold: float) -> int:
        cells = evaluate(column, threshold)
        left = max(cells["left no"], cells["left yes"])
        return int(left + max(cells["right no"], cells["right yes"]))

    for split, right in re.findall(r"`(\w+ <= \d+)`[^`]*?gets\s(\d) of the 8", PAGE):
        column, _, threshold = split.split()
        assert correct(column, float(threshold)) == int(right)
    assert len(re.findall(r"gets\s\d of the 8", PAGE)) == 2


def test_largest_entropy_is_not_the_largest_gain():
    gain = {split: evaluate(*split)["gain"] for split in every_split()}
    after = {split: evaluate(*split)["after"] for split in every_split()}
    assert max(gain, key=gain.get) == ("sugar", 100.0)
    assert min(after, key=after.get) == ("sugar", 100.0)
    best_of_column = {
        name: min(value for split, value in after.items() if split[0] == name)
        for name in COLUMNS
    }
    assert max(best_of_column, key=best_of_column.get) == "height"
    assert gain["height", 175.0] == pytest.approx(0)


def test_the_tree_chooses_sugar():
    from fasttree import DecisionTreeClassifier

    tree = DecisionTreeClassifier(criterion="entropy", max_depth=1).fit(X, Y)
    assert COLUMNS[tree.tree_.feature[0]] == "sugar"
    assert tree.tree_.threshold[0] == 100.0
    assert tree.tree_.node_count == 3
    impurity = [entropy(Y), 0.0, evaluate("sugar", 100.0)["H(right)"]]
    np.testing.assert_allclose(tree.tree_.impurity, impurity, atol=1e-12)
    assert tree.score(X, Y) == 7 / 8


def test_the_code_of_the_page_prints_what_it_says(capsys):
    code, printed = re.search(
        r"```python\n(.*?)```\n\n```text\n(.*?)```", PAGE, flags=re.DOTALL
    ).groups()
    scope: dict[str, object] = {}
    exec(compile(code, "worked_example.md", "exec"), scope)
    np.testing.assert_array_equal(scope["X"], X)
    assert scope["y"] == Y.tolist()
    assert capsys.readouterr().out.strip() == printed.strip()
