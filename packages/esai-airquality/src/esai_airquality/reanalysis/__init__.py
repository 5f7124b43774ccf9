"""The job reanalysis: a global reanalysis brought to surface concentrations and corrected with stations."""
