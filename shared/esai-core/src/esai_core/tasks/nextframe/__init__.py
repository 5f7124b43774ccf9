"""Forecast the next fields of a gridded series: ConvLSTM and U-Net beside damped persistence."""
