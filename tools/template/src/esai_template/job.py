"""What the package gives to the core, which makes its command line and run folders."""

from __future__ import annotations

from esai_core.job import Job

JOB = Job(
    name="esai-template",
    package="esai_template",
    summary="A package made from the template.",
    config="esai_template.config:TemplateConfig",
    template="esai_template.config:TEMPLATE",
    demo="esai_template.demo:prepare",
    train="esai_template.pipeline:train",
    predict="esai_template.pipeline:predict",
    evaluate="esai_template.pipeline:evaluate",
    report="esai_template.pipeline:report",
)
