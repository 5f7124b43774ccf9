"""Fill the gaps of a gridded series: climatology, interpolation in time, EOFs, a U-Net that refines them."""
