"""The job reanalysis; imports nothing heavy."""

from __future__ import annotations

from esai_core.job import Job

REANALYSIS = Job(
    name="esai-airquality",
    package="esai_airquality",
    summary="Correct a reanalysis with stations: machine learning, kriging, skill between stations.",
    config="esai_airquality.reanalysis.config:ReanalysisConfig",
    template="esai_airquality.reanalysis.config:TEMPLATE",
    demo="esai_airquality.reanalysis.demo:prepare",
    requests="esai_airquality.reanalysis.fetch:requests",
    train="esai_airquality.reanalysis.pipeline:train",
    predict="esai_airquality.reanalysis.pipeline:predict",
    evaluate="esai_airquality.reanalysis.pipeline:evaluate",
    report="esai_airquality.reanalysis.pipeline:report",
)
