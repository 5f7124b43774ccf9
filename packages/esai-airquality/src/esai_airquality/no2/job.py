"""The job no2; imports nothing heavy."""

from __future__ import annotations

from esai_core.job import Job

NO2 = Job(
    name="esai-airquality",
    package="esai_airquality",
    summary="Map surface NO2 from satellite columns by machine learning, and say where it can be trusted.",
    config="esai_airquality.no2.config:No2Config",
    template="esai_airquality.no2.config:TEMPLATE",
    demo="esai_airquality.no2.demo:prepare",
    requests="esai_airquality.no2.fetch:requests",
    train="esai_airquality.no2.pipeline:train",
    predict="esai_airquality.no2.pipeline:predict",
    evaluate="esai_airquality.no2.pipeline:evaluate",
    report="esai_airquality.no2.pipeline:report",
)
