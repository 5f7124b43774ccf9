"""The job mos; imports nothing heavy."""

from __future__ import annotations

from esai_core.job import Job

MOS = Job(
    name="esai-airquality",
    package="esai_airquality",
    summary="Correct forecasts at stations: nine methods, alerts, and their skill in operational conditions.",
    config="esai_airquality.mos.config:MosConfig",
    template="esai_airquality.mos.config:TEMPLATE",
    demo="esai_airquality.mos.demo:prepare",
    requests="esai_airquality.mos.fetch:requests",
    train="esai_airquality.mos.pipeline:train",
    predict="esai_airquality.mos.pipeline:predict",
    evaluate="esai_airquality.mos.pipeline:evaluate",
    report="esai_airquality.mos.pipeline:report",
)
