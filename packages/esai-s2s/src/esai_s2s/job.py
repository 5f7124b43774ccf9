"""What the command line of this package does; imports nothing heavy."""

from __future__ import annotations

from esai_core.job import Argument, Job, Verb

JOB = Job(
    name="esai-s2s",
    package="esai_s2s",
    summary="Sub-seasonal tercile forecasts, stacked and scored as in the contests.",
    config="esai_s2s.config:S2sConfig",
    template="esai_s2s.config:TEMPLATE",
    demo="esai_s2s.demo:prepare",
    requests="esai_s2s.fetch:requests",
    train="esai_s2s.pipeline:train",
    predict="esai_s2s.pipeline:predict",
    evaluate="esai_s2s.pipeline:evaluate",
    report="esai_s2s.pipeline:report",
    workers=True,
    cluster=True,
    extra_verbs=(
        Verb(
            name="submit",
            summary="check a forecast file against the rules of a contest and write the file to hand in",
            call="esai_s2s.submission:submit",
            arguments=(
                Argument("forecast", help="forecast.nc of a run, or any file of probabilities"),
                Argument(
                    "--contest", choices=("challenge", "quest"), default="challenge", help="whose rules"
                ),
            ),
        ),
    ),
)
