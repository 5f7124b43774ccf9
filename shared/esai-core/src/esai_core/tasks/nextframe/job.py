"""The job nextframe; imports nothing heavy."""

from __future__ import annotations

from esai_core.job import Job

NEXTFRAME = Job(
    name="esai-core",
    package="esai_core",
    summary="Forecast the next fields of a gridded series: ConvLSTM and U-Net beside damped persistence.",
    config="esai_core.tasks.nextframe.config:NextframeConfig",
    template="esai_core.tasks.nextframe.config:TEMPLATE",
    demo="esai_core.tasks.nextframe.demo:prepare",
    train="esai_core.tasks.nextframe.pipeline:train",
    predict="esai_core.tasks.nextframe.pipeline:predict",
    evaluate="esai_core.tasks.nextframe.pipeline:evaluate",
    report="esai_core.tasks.nextframe.pipeline:report",
    workers=True,
)
