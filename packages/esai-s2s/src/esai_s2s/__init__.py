"""Sub-seasonal probabilities of terciles or quintiles: methods, a stacked ensemble, contest scores and files.

>>> from esai_s2s import challenge_rpss, METHODS
>>> sorted(METHODS)
['boosting', 'emos', 'forest', 'logistic', 'raw']
"""

from __future__ import annotations

from esai_core._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Categories": "sample",
        "JOB": "job",
        "METHODS": "methods.registry",
        "S2sConfig": "config",
        "Sample": "sample",
        "assert_no_leak": "guard",
        "challenge_rpss": "contest",
        "check_submission": "submission",
        "cross_validate": "crossval",
        "fit": "fitting",
        "fit_categories": "sample",
        "make_submission": "submission",
        "open_samples": "data",
        "quest_rpss": "contest",
        "rpss_by_cell": "contest",
        "simplex_weights": "methods.stacking",
    },
)
