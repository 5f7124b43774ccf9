"""Common tasks of the field on any gridded series, each a job of the command ``esai-core``.

`esai_core.tasks.gapfill` fills what is missing; `esai_core.tasks.nextframe` forecasts the next fields.
"""
