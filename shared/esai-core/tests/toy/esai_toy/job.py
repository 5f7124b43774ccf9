from __future__ import annotations

from esai_core.job import Argument, Job, Verb

JOB = Job(
    name="esai-toy",
    package="esai_toy",
    summary="Fit a straight line.",
    config="esai_toy.config:ToyConfig",
    template="esai_toy.config:TEMPLATE",
    demo="esai_toy.pipeline:prepare",
    requests="esai_toy.pipeline:requests",
    train="esai_toy.pipeline:train",
    predict="esai_toy.pipeline:predict",
    evaluate="esai_toy.pipeline:evaluate",
    report="esai_toy.pipeline:report",
    extra_verbs=(
        Verb(
            name="submit",
            summary="Write a submission.",
            call="esai_toy.pipeline:submit",
            takes="run",
            needs="predict",
            arguments=(Argument("--contest", choices=("a", "b"), default="a"),),
        ),
        Verb(name="proxy", summary="Write a proxy.", call="esai_toy.pipeline:proxy", takes="config"),
        Verb(
            name="hello",
            summary="Greet.",
            call="esai_toy.pipeline:hello",
            arguments=(Argument("who"),),
        ),
    ),
    workers=True,
)
