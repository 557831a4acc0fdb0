"""Images as a network takes them: image sets, decoding, preprocessing, batches."""
