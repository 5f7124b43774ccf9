"""The job gapfill; imports nothing heavy."""

from __future__ import annotations

from esai_core.job import Job

GAPFILL = Job(
    name="esai-core",
    package="esai_core",
    summary="Fill the gaps of a gridded series: a U-Net beside EOFs, interpolation and climatology.",
    config="esai_core.tasks.gapfill.config:GapfillConfig",
    template="esai_core.tasks.gapfill.config:TEMPLATE",
    demo="esai_core.tasks.gapfill.demo:prepare",
    train="esai_core.tasks.gapfill.pipeline:train",
    predict="esai_core.tasks.gapfill.pipeline:predict",
    evaluate="esai_core.tasks.gapfill.pipeline:evaluate",
    report="esai_core.tasks.gapfill.pipeline:report",
    workers=True,
)
