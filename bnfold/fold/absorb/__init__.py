"""Affine chains that go into the layers before or behind them."""
