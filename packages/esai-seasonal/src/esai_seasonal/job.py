"""What the command line of this package does; imports nothing heavy."""

from __future__ import annotations

from esai_core.job import Job

JOB = Job(
    name="esai-seasonal",
    package="esai_seasonal",
    summary="Correct and downscale seasonal forecasts: classical methods, networks, and the skill of each.",
    config="esai_seasonal.config:SeasonalConfig",
    template="esai_seasonal.config:TEMPLATE",
    demo="esai_seasonal.demo:prepare",
    requests="esai_seasonal.fetch:requests",
    train="esai_seasonal.pipeline:train",
    predict="esai_seasonal.pipeline:predict",
    evaluate="esai_seasonal.pipeline:evaluate",
    report="esai_seasonal.pipeline:report",
    workers=True,
    cluster=True,
)
