"""A whole package in miniature: a straight line through noisy points, beside the mean."""
