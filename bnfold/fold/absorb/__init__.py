"""What affine chains become: part of the layers before or behind them, one Scale, or nothing."""
