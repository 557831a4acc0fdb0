"""What both networks are fed: random inputs, images, one batch for a stop watch."""
