"""The table of OpenCV 4's reader of Caffe files; OpenCV 5 has none.

Sources: opencv/opencv, modules/dnn/src/caffe/caffe_importer.cpp (commit 01048e5), caffe_io.cpp
(commit 036f721) and modules/dnn/src/init.cpp as of OpenCV 4.11; the fields that its own caffe.proto
has were asked of OpenCV 4.14 one by one. Its parser takes a field that it does not know for a
parameter of a layer type of the user's; it knows only numbers and words there, and asserts that
there is no string. Layers run whatever their `include` and `exclude` say. Its `Resize`, `Tile` and
`LSTM` want parameters and blobs that no Caffe file has.
"""

from __future__ import annotations

from bnfold.graph.layer_type import words
from bnfold.graph.readers.caffe import SCHEMA
from bnfold.graph.readers.reader import Reader, passed_over

_SCHEMA = SCHEMA.changed(
    """
layer: detection_output_param detection_output_param, norm_param norm_param
layer: permute_param permute_param, prior_box_param prior_box_param
layer: proposal_param proposal_param, psroi_pooling_param psroi_pooling_param
layer: roi_pooling_param roi_pooling_param
batch_norm_param: bool scale_bias
detection_output_param: uint num_classes, int background_label_id keep_top_k
detection_output_param: bool share_location variance_encoded_in_target clip normalized_bbox
detection_output_param: nms_param nms_param, save_output_param save_output_param
detection_output_param: CORNER=1|CENTER_SIZE=2|CORNER_SIZE=3 code_type
detection_output_param: float confidence_threshold
dropout_param: bool scale_train
nms_param: float nms_threshold eta, int top_k
norm_param: bool across_spatial channel_shared, filler scale_filler, float eps
permute_param: uint* order
pooling_param: bool ceil_mode
prior_box_param: float* min_size max_size aspect_ratio variance, bool flip clip
prior_box_param: uint img_size img_h img_w, float step step_h step_w offset
proposal_param: float* ratio
psroi_pooling_param: float spatial_scale, int output_dim group_size
roi_pooling_param: uint pooled_h pooled_w, float spatial_scale
save_output_param: string output_directory output_name_prefix output_format label_map_file
save_output_param: string name_size_file, uint num_test_image
""",
    without={"infogain_loss_param": "axis"},
)

OPENCV4 = Reader(
    key="opencv4",
    name="OpenCV 4",
    source="opencv/opencv, modules/dnn/src/caffe and init.cpp, 4.11; its fields asked of 4.14",
    types=words(
        "AbsVal Accum Axpy BNLL BatchNorm Concat Convolution ConvolutionDepthwise Correlation "
        "Crop DataAugmentation Deconvolution DetectionOutput Dropout ELU Eltwise Exp Flatten "
        "FlowWarp HardSigmoid HardSwish Identity InnerProduct Input Interp LRN Log MVN Mish "
        "Normalize PReLU PSROIPooling Permute Pooling Power PriorBox Proposal ROIPooling ReLU "
        "ReLU6 Reorg Reshape Scale ShuffleChannel Sigmoid Silence Slice Softmax Softplus Split "
        "Swish TanH"
    ),
    schema=_SCHEMA,
    skips_unknown=True,
    reads_rules=False,
    reads_raw=True,
    reads_hdf5=False,
    needs={
        "DetectionOutput": (
            "detection_output_param.share_location",
            "detection_output_param.background_label_id",
            "detection_output_param.code_type",
            "detection_output_param.keep_top_k",
            "detection_output_param.nms_param.nms_threshold",
        ),
        "PriorBox": ("prior_box_param.variance",),
    },
    # Measured: OpenCV 4.14 beside Caffe (tests/graph/readers/test_opencv.py).
    ignored=passed_over("""
        Concat: concat_param concat_dim=1
        Deconvolution: convolution_param dilation=1
        InnerProduct: inner_product_param transpose=false
        LRN: lrn_param k=1
        Log: log_param base=-1 scale=1 shift=0
        MVN: mvn_param eps=1e-9
        Slice: slice_param slice_dim=1
    """),
)
