"""The table of ncnn's converter, caffe2ncnn, and of the layers that ncnn itself has.

Sources: Tencent/ncnn, tools/caffe/caffe2ncnn.cpp (commit 0690995) and tools/caffe/caffe.proto
(commit c617fd4); src/CMakeLists.txt (commit 0015e9e) for the layers. The converter writes a layer
of any type under the name that it has, with no parameters where it knows none, and reads neither
`layers` nor `input` nor rules; ncnn then refuses what it has no layer for.
"""

from __future__ import annotations

from bnfold.graph.layer_type import words
from bnfold.graph.readers.caffe import SCHEMA
from bnfold.graph.readers.reader import Reader, passed_over

_SCHEMA = SCHEMA.changed(
    """
layer: bn_param bn_param, detection_output_param detection_output_param
layer: yolo_detection_output_param yolo_detection_output_param
layer: yolov3_detection_output_param yolov3_detection_output_param
layer: interp_param interp_param, norm_param norm_param, permute_param permute_param
layer: prior_box_param prior_box_param, psroi_pooling_param psroi_pooling_param
layer: reorg_param reorg_param, roi_align_param roi_align_param
layer: roi_pooling_param roi_pooling_param, shuffle_channel_param shuffle_channel_param
layer: smooth_l1_loss_param smooth_l1_loss_param
bn_param: LEARN|INFERENCE bn_mode, filler scale_filler shift_filler
dropout_param: bool scale_train
detection_output_param: uint num_classes, bool share_location variance_encoded_in_target visualize
detection_output_param: int background_label_id keep_top_k, nms_param nms_param
detection_output_param: save_output_param save_output_param, string save_file
detection_output_param: CORNER=1|CENTER_SIZE=2|CORNER_SIZE=3 code_type
detection_output_param: float confidence_threshold visualize_threshold
nms_param: float nms_threshold eta, int top_k
save_output_param: string output_directory output_name_prefix output_format label_map_file
save_output_param: string name_size_file, uint num_test_image, resize_param resize_param
resize_param: float prob, WARP=1|FIT_SMALL_SIZE=2|FIT_LARGE_SIZE_AND_PAD=3 resize_mode
resize_param: uint height width height_scale width_scale, float* pad_value
resize_param: CONSTANT=1|MIRRORED=2|REPEAT_NEAREST=3 pad_mode
resize_param: LINEAR=1|AREA=2|NEAREST=3|CUBIC=4|LANCZOS4=5* interp_mode
yolo_detection_output_param: uint side num_classes num_box coords, float* biases
yolo_detection_output_param: float confidence_threshold nms_threshold, string label_map_file
yolov3_detection_output_param: uint num_classes num_box mask_group_num, uint* anchors_scale mask
yolov3_detection_output_param: float confidence_threshold nms_threshold, float* biases
interp_param: int height width zoom_factor shrink_factor pad_beg pad_end
norm_param: bool across_spatial channel_shared, filler scale_filler, float eps
permute_param: uint* order
prior_box_param: float* min_size max_size aspect_ratio variance, bool flip clip
prior_box_param: uint img_size img_h img_w, float step step_h step_w offset
psroi_pooling_param: float spatial_scale, int output_dim group_size
reorg_param: uint stride, bool reverse
roi_align_param: uint pooled_h pooled_w, float spatial_scale
roi_pooling_param: uint pooled_h pooled_w, float spatial_scale
shuffle_channel_param: uint group
smooth_l1_loss_param: float sigma
""",
    without={"layer": "parameter_param", "infogain_loss_param": "axis"},
)

_CONVERTED = words(
    "BatchNorm BN Concat Convolution ConvolutionDepthwise Crop Deconvolution DepthwiseConvolution "
    "DetectionOutput Dropout ELU Eltwise Embed InnerProduct Input Interp LRN LSTM MVN MemoryData "
    "Normalize PReLU PSROIPooling Permute Pooling Power PriorBox ROIAlign ROIPooling ReLU ReLU6 "
    "Reorg Reshape Scale ShuffleChannel Silence Slice Softmax Threshold YoloDetectionOutput "
    "Yolov3DetectionOutput"
)
"""The types whose parameters, if they have any, are converted."""

_HANDED_ON = words(
    "AbsVal BNLL Clip Exp Flatten HardSigmoid HardSwish Log Mish PixelShuffle Proposal Reduction "
    "Sigmoid Split Swish TanH Tile"
)
"""Types that ncnn has a layer for, and whose parameters the converter does not write."""

NCNN = Reader(
    key="ncnn",
    name="ncnn's caffe2ncnn",
    source="Tencent/ncnn, tools/caffe (commits 0690995 and c617fd4), src/CMakeLists.txt (0015e9e)",
    types=_CONVERTED | _HANDED_ON,
    schema=_SCHEMA,
    unknown_type="ncnn has no such layer either",
    reads_rules=False,
    reads_v1=False,
    reads_inputs=False,
    reads_hdf5=False,
    most_blobs={"BatchNorm": 3, "BN": 2},
    refuses_blobs=False,
    several_windows="it reads the first only",
    ignored=passed_over("""
        BatchNorm: batch_norm_param use_global_stats=true
        BN: bn_param bn_mode=INFERENCE
        Concat: concat_param concat_dim=1
        Convolution Deconvolution: convolution_param axis=1
        ConvolutionDepthwise DepthwiseConvolution: convolution_param axis=1
        DetectionOutput: detection_output_param share_location=true background_label_id=0
        DetectionOutput: detection_output_param code_type=CENTER_SIZE
        DetectionOutput: detection_output_param variance_encoded_in_target=false
        InnerProduct: inner_product_param axis=1 transpose=false
        Interp: interp_param shrink_factor=1 pad_beg=0 pad_end=0
        LRN: lrn_param k=1
        LSTM: recurrent_param expose_hidden=false
        Reorg: reorg_param reverse=false
        Reshape: reshape_param axis=0 num_axes=-1
        Scale: scale_param axis=1 num_axes=1
        Exp: exp_param base=-1 scale=1 shift=0
        Flatten: flatten_param axis=1 end_axis=-1
        Log: log_param base=-1 scale=1 shift=0
        Reduction: reduction_param operation=SUM axis=0 coeff=1
        Tile: tile_param axis=* tiles=*
    """),
)
