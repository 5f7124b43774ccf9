"""What the command line of this package does; imports nothing heavy."""

from __future__ import annotations

from esai_core.job import Job, Verb

JOB = Job(
    name="esai-wwtp",
    package="esai_wwtp",
    summary="Find wastewater plants in Sentinel-2 scenes, and distribute methane by plants.",
    config="esai_wwtp.config:WwtpConfig",
    template="esai_wwtp.config:TEMPLATE",
    demo="esai_wwtp.demo:prepare",
    requests="esai_wwtp.fetch:requests",
    train="esai_wwtp.pipeline:train",
    predict="esai_wwtp.pipeline:predict",
    evaluate="esai_wwtp.pipeline:evaluate",
    report="esai_wwtp.pipeline:report",
    extra_verbs=(
        Verb(
            name="proxy",
            summary="methane of plants as weights on a grid that conserve national totals",
            call="esai_wwtp.emitting:proxy",
            takes="config",
        ),
    ),
    workers=True,
)
