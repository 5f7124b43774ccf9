"""The job no2: surface NO2 from satellite columns."""
