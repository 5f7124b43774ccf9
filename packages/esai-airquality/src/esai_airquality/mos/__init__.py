"""The job mos: forecasts corrected at stations."""
