"""Bias correction and downscaling of seasonal forecasts."""
