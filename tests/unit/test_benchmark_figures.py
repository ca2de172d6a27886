"""The benchmark's arithmetic: medians, spreads, and ratios within a round."""

from tests.benchmarks.figures import CEILING, PROJECT, Figures, Spread


def test_a_ratio_is_of_the_same_round() -> None:
    figures = Figures()
    for project, ceiling in ((50.0, 100.0), (30.0, 40.0), (9.0, 10.0)):  # a machine that grows slower
        figures.add(PROJECT, {"mails": project, "letters": 1.0})
        figures.add(CEILING, {"mails": ceiling})
    assert figures.ratio(CEILING) == {"mails": Spread(median=0.75, min=0.5, max=0.9)}
    document = figures.as_json()
    assert document["mails"] == 30.0
    assert document["of_the_ceiling"] == {"mails": {"median": 0.75, "min": 0.5, "max": 0.9}}
    assert "other" not in document
