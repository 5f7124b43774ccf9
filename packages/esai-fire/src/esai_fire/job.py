"""What the package gives to the core, which makes its command line and run folders."""

from __future__ import annotations

from esai_core.job import Job

JOB = Job(
    name="esai-fire",
    package="esai_fire",
    summary="Burned area from ocean climate indices, and emissions from burned area.",
    config="esai_fire.config:FireConfig",
    template="esai_fire.config:TEMPLATE",
    demo="esai_fire.demo:prepare",
    requests="esai_fire.fetch:requests",
    train="esai_fire.pipeline:train",
    predict="esai_fire.pipeline:predict",
    evaluate="esai_fire.pipeline:evaluate",
    report="esai_fire.pipeline:report",
    workers=True,
    cluster=True,
)
"""The command ``esai-fire``."""
