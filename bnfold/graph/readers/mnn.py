"""The table of MNN's converter.

Source: alibaba/MNN, tools/converter/source/caffe/*.cpp and caffe.proto and
tools/converter/source/optimizer/caffeextra, as of commit 03bf389. A layer of a type without a
converter of its own becomes an op named "Extra", of which the optimizer turns eight types into
ops; the others nothing runs. Of the layers it reads neither `layers` nor rules; a `Dropout` it
leaves out, and so what reads its top where that has another name than its bottom.
"""

from __future__ import annotations

from bnfold.graph.layer_type import words
from bnfold.graph.readers.caffe import SCHEMA
from bnfold.graph.readers.reader import Reader, passed_over

_SCHEMA = SCHEMA.changed(
    """
state: TRAIN|TEST|QUAN|INT8 phase
rule: TRAIN|TEST|QUAN|INT8 phase
layer: TRAIN|TEST|QUAN|INT8 phase
layer: annotated_data_param annotated_data_param, convolution3d_param convolution3d_param
layer: detection_evaluate_param detection_evaluate_param
layer: detection_output_param detection_output_param, lstm_param lstm_param
layer: im2seq_param im2seq_param, seq2out_param seq2out_param, img_size_param img_size_param
layer: multibox_loss_param multibox_loss_param, norm_param norm_param
layer: permute_param permute_param, pooling3d_param pooling3d_param
layer: prior_box_param prior_box_param, center_loss_param center_loss_param
layer: shuffle_channel_param shuffle_channel_param, interp_param interp_param
layer: roi_pooling_param roi_pooling_param, clip_param clip_param, upsample_param upsample_param
clip_param: float min max
roi_pooling_param: uint pooled_h pooled_w, float spatial_scale
interp_param: int height width zoom_factor shrink_factor pad_beg pad_end
lstm_param: uint num_output batch_size paramq, float clipping_threshold scale_in scale_out
lstm_param: filler weight_filler bias_filler, int a_min a_max
im2seq_param: FORWARD|REVERSED|TOPDOWN|BOTTOMUP direction, uint size stride, bool line2time_loss
seq2out_param:
img_size_param: float x_scaling y_scaling
img_size_param: string pretrained_file pretrained_layer_name pretrained_layer_bin
center_loss_param: uint num_output, filler center_filler, int axis, string distance_type
transform_param: uint crop_h crop_w, resize_param resize_param, noise_param noise_param
transform_param: distort_param distort_param, expand_param expand_param
transform_param: emit_constraint emit_constraint
resize_param: float prob, WARP=1|FIT_SMALL_SIZE=2|FIT_LARGE_SIZE_AND_PAD=3 resize_mode
resize_param: uint height width height_scale width_scale, float* pad_value
resize_param: CONSTANT=1|MIRRORED=2|REPEAT_NEAREST=3 pad_mode
resize_param: LINEAR=1|AREA=2|NEAREST=3|CUBIC=4|LANCZOS4=5* interp_mode
noise_param: float prob jpeg, bool hist_eq inverse decolorize gauss_blur posterize erode
noise_param: bool saltpepper clahe convert_to_hsv convert_to_lab
noise_param: saltpepper_param saltpepper_param
saltpepper_param: float fraction, float* value
distort_param: float brightness_prob brightness_delta contrast_prob contrast_lower contrast_upper
distort_param: float hue_prob hue_delta saturation_prob saturation_lower saturation_upper
distort_param: float random_order_prob
expand_param: float prob max_expand_ratio
emit_constraint: CENTER|MIN_OVERLAP emit_type, float emit_overlap
loss_param: bool is_num_scale
annotated_data_param: batch_sampler* batch_sampler, string label_map_file, BBOX anno_type
batch_sampler: bool use_original_image, sampler sampler, sample_constraint sample_constraint
batch_sampler: uint max_sample max_trials
sampler: float min_scale max_scale min_aspect_ratio max_aspect_ratio
sample_constraint: float min_jaccard_overlap max_jaccard_overlap min_sample_coverage
sample_constraint: float max_sample_coverage min_object_coverage max_object_coverage
argmax_param: bool softmax_threshold
batch_norm_param: bool use_weight_bias bias_term, filler filler bias_filler scale_filler
convolution_param: DEFAULT|CAFFE|CUDNN|CUDNN_FORWARD engine, uint paramq
convolution_param: float params scale_in scale_out, int a_min a_max
convolution3d_param: uint num_output pad kernel_size group kernel_depth stride temporal_stride
convolution3d_param: uint filter_group temporal_pad, bool bias_term, filler weight_filler
convolution3d_param: filler bias_filler
data_param: uint label_size data_width, bool output_width
detection_evaluate_param: uint num_classes background_label_id, float overlap_threshold
detection_evaluate_param: bool evaluate_difficult_gt, string name_size_file
detection_evaluate_param: resize_param resize_param
detection_output_param: uint num_classes, bool share_location variance_encoded_in_target visualize
detection_output_param: int background_label_id keep_top_k, nms_param nms_param
detection_output_param: save_output_param save_output_param, string save_file
detection_output_param: CORNER=1|CENTER_SIZE=2|CORNER_SIZE=3 code_type
detection_output_param: float confidence_threshold visualize_threshold objectness_score
nms_param: float nms_threshold eta, int top_k
save_output_param: string output_directory output_name_prefix output_format label_map_file
save_output_param: string name_size_file, uint num_test_image, resize_param resize_param
image_data_param: uint label_num att_num
inner_product_param: uint paramq, float params scale_in scale_out, int a_min a_max
multibox_loss_param: L2|SMOOTH_L1 loc_loss_type, SOFTMAX|LOGISTIC conf_loss_type
multibox_loss_param: BIPARTITE|PER_PREDICTION match_type, NONE|MAX_NEGATIVE|HARD_EXAMPLE mining_type
multibox_loss_param: CORNER=1|CENTER_SIZE=2|CORNER_SIZE=3 code_type, uint num_classes
multibox_loss_param: float loc_weight overlap_threshold neg_pos_ratio neg_overlap
multibox_loss_param: bool share_location use_prior_for_matching use_difficult_gt do_neg_mining
multibox_loss_param: bool encode_variance_in_target map_object_to_agnostic bp_inside
multibox_loss_param: bool ignore_cross_boundary_bbox use_prior_for_nms
multibox_loss_param: uint background_label_id, nms_param nms_param, int sample_size
norm_param: bool across_spatial channel_shared, filler scale_filler, float eps
permute_param: uint* order
pooling_param: bool avg_include_pad, CEIL|FLOOR round_mode
pooling3d_param: MAX|AVE|STOCHASTIC pool
pooling3d_param: uint kernel_size kernel_depth stride temporal_stride pad temporal_pad
prior_box_param: float* min_size max_size aspect_ratio variance, bool flip clip
prior_box_param: uint img_size img_h img_w, float step step_h step_w offset
shuffle_channel_param: uint group
upsample_param: float scale
"""
)

MNN = Reader(
    key="mnn",
    name="MNN's converter",
    source="alibaba/MNN, tools/converter/source/caffe and optimizer/caffeextra (commit 03bf389)",
    types=words(
        # Those that have a converter.
        "AbsVal ArgMax BNLL BatchNorm Clip Concat Convolution Convolution3D Crop CuDNNBatchNorm "
        "CuDNNGroupedConvolutionForward CuDNNLRNCrossChannel CuDNNLstmForward Deconvolution "
        "DetectionOutput ELU Eltwise Flatten Im2seq InnerProduct Input Interp LRN Lstm Normalize "
        "OCRLSTM OCRLSTMQ PReLU Permute Pooling Pooling3D PriorBox Python ROIPooling ReLU ReLU6 "
        "Reshape Resize Scale Seq2out ShuffleChannel Sigmoid Slice Softmax SpatialProduct TanH "
        "Threshold Upsample "
        # Those that the optimizer makes of an Extra, and the one that is left out.
        "Bias Embed Exp Log MVN Power Reduction Dropout"
    ),
    schema=_SCHEMA,
    unknown_type="it becomes an op that nothing runs",
    reads_rules=False,
    reads_v1=False,
    reads_hdf5=False,
    most_blobs={"BatchNorm": 3},
    refuses_blobs=False,
    several_windows="it takes the first for the width",
    ignored=passed_over("""
        BatchNorm: batch_norm_param use_global_stats=true
        Concat: concat_param concat_dim=1
        Convolution Deconvolution: convolution_param axis=1
        Interp: interp_param pad_beg=0 pad_end=0 zoom_factor=*
        LRN: lrn_param k=1
        Pooling: pooling_param round_mode=CEIL avg_include_pad=true
        PriorBox: prior_box_param step=* step_h=* step_w=*
        Reduction: reduction_param coeff=1
        Reshape: reshape_param axis=0 num_axes=-1
        Scale: scale_param axis=1 num_axes=1
        Slice: slice_param slice_dim=1
    """),
)
