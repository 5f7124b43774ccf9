from __future__ import annotations

import numpy as np
import pytest

from esai_core.causality import Causes, Links
from esai_core.errors import UsageError
from esai_core.explain import Attribution, Drivers, randomisation_check
from esai_core.report import Report, add_causes, add_drivers, add_intervals
from esai_core.uncertainty import interval_scores


@pytest.fixture
def attribution():
    values = np.array([0.1, 2.0, -0.02, 0.4])
    by = {"lead 1": values, "lead 2": values[::-1]}
    return Attribution(
        "permutation", ("a", "driver", "b", "c"), values, 0.1 * np.abs(values), "increase of mse", by
    )


def test_drivers_are_drawn_ranked_and_checked(attribution):
    second = Attribution("Shapley values", attribution.names, np.abs(attribution.values), None, "mean size")
    check = randomisation_check(attribution.values, [attribution.values[::-1]])
    page = add_drivers(Report("A"), [attribution, second], check=check, most=3).html()
    assert "What drives this" in page
    assert page.count("<picture") == 3
    assert "1 predictors of less importance" in page
    assert "Randomisation check passed" in page
    assert page.index("driver</td>") < page.index(">c</td>")
    with pytest.raises(UsageError, match="no attribution"):
        add_drivers(Report("A"), [])


def test_intervals_off_their_claim_are_named():
    rng = np.random.default_rng(0)
    y = rng.normal(size=4000)
    good = interval_scores(y, np.full(4000, -1.645), np.full(4000, 1.645), blocks=np.arange(4000) // 40)
    bad = interval_scores(y, np.full(4000, -1.0), np.full(4000, 1.0))
    page = add_intervals(Report("A"), {"all": good, "lead 6": bad}, units="K").html()
    assert "How sure is it" in page
    assert "<strong>lead 6</strong>" in page
    assert "mean width (K)" in page
    assert "Farther than" not in add_intervals(Report("A"), {"all": good}).html()
    with pytest.raises(UsageError, match="no intervals"):
        add_intervals(Report("A"), {})


def test_drivers_are_kept_for_the_report(attribution, tmp_path):
    check = randomisation_check(attribution.values, [attribution.values[::-1]])
    Drivers((attribution,), check, "of a model").save(tmp_path / "drivers.json")
    told = Drivers.load(tmp_path / "drivers.json")
    assert str(told.check) == str(check)
    assert told.attributions[0].ranking() == attribution.ranking()
    assert told.text == "of a model"


def test_causes_are_told_with_their_false_rate(tmp_path):
    p = np.ones((2, 2, 3))
    p[0, 1, 1], p[1, 1, 0] = 1e-6, 1e-4
    links = Links(("nino", "fires"), 1 - p, p, p)
    false = {"false_positive_rate": 0.05, "runs_with_links": 0.0, "count": 20.0}
    Causes("fires", links, false).save(tmp_path / "causes.json")
    page = add_causes(Report("A"), Causes.load(tmp_path / "causes.json")).html()
    assert "Lagged causes" in page
    assert ">nino</td>" in page
    assert "5.0 % have p" in page
    assert "Its own past matters at lag 1" in page
    page = add_causes(Report("A"), Causes("nino", links, false | {"false_positive_rate": 0.2})).html()
    assert "No link from another series" in page
    assert "warning" in page
