"""Caffe weights in HDF5 (`.caffemodel.h5`): the same surface as the binary format.

What Caffe writes (BVLC caffe, src/caffe/net.cpp, Net::ToHDF5): the group /data has one group for
each layer, and that has one dataset for each blob, named by its place: /data/conv1/0. The group
/diff, if there is one, holds the gradients in the same way. A blob that several layers share is in
the group of the layer that owns it; with the others it is absent, and leaves a hole where a later
blob of theirs is their own. Types, inputs and outputs of layers are not in the file.

A slash in a layer's name nests its group in another: conv1/bn is the group bn beside the datasets
of conv1. Caffe writes that where conv1 is a layer before it, and never reads it: it does not look
into nested groups, and counts each as a blob of the layer around it, of which there are too many
then (Net::CopyTrainedLayersFromHDF5). bnfold reads all of them. When it changes a file it leaves
out nested groups that are empty, as those of ReLU layers are, so that Caffe can read what remains.
"""

from .weights import Hdf5Weights

__all__ = ["Hdf5Weights"]
