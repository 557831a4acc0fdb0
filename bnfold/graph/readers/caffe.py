"""The table of BVLC Caffe 1.0: what stock Caffe loads. Other readers' schemas start from its own.

Sources: BVLC/caffe, src/caffe/proto/caffe.proto as of commit 3ba2054, the last one before release
1.0 that was found, with `infogain_loss_param.axis` of its pull request 3855; the types that
src/caffe/layers/*.cpp and src/caffe/layer_factory.cpp register; src/caffe/util/upgrade_proto.cpp.
"""

from __future__ import annotations

from bnfold.graph.layer_type import words
from bnfold.graph.readers.reader import Reader
from bnfold.graph.readers.schema import Schema

_ENGINE = "DEFAULT|CAFFE|CUDNN"
_POOL = "MAX|AVE|STOCHASTIC"
_PHASE = "TRAIN|TEST"

SCHEMA = Schema.parse(f"""
net: string name, string* input, shape* input_shape, int* input_dim
net: bool force_backward debug_info, state state, layer* layer, layers* layers
state: {_PHASE} phase, int level, string* stage
rule: {_PHASE} phase, int min_level max_level, string* stage not_stage
shape: long* dim
blob: shape shape, float* data diff, double* double_data double_diff
blob: int num channels height width
param: string name, STRICT|PERMISSIVE share_mode, float lr_mult decay_mult
filler: string type, float value min max mean std, int sparse
filler: FAN_IN|FAN_OUT|AVERAGE variance_norm

layer: string name type, string* bottom top, {_PHASE} phase, float* loss_weight
layer: param* param, blob* blobs, bool* propagate_down, rule* include exclude
layer: transform_param transform_param, loss_param loss_param
layer: accuracy_param accuracy_param, argmax_param argmax_param
layer: batch_norm_param batch_norm_param, bias_param bias_param, concat_param concat_param
layer: contrastive_loss_param contrastive_loss_param, convolution_param convolution_param
layer: crop_param crop_param, data_param data_param, dropout_param dropout_param
layer: dummy_data_param dummy_data_param, eltwise_param eltwise_param, elu_param elu_param
layer: embed_param embed_param, exp_param exp_param, flatten_param flatten_param
layer: hdf5_data_param hdf5_data_param, hdf5_output_param hdf5_output_param
layer: hinge_loss_param hinge_loss_param, image_data_param image_data_param
layer: infogain_loss_param infogain_loss_param, inner_product_param inner_product_param
layer: input_param input_param, log_param log_param, lrn_param lrn_param
layer: memory_data_param memory_data_param, mvn_param mvn_param
layer: parameter_param parameter_param, pooling_param pooling_param, power_param power_param
layer: prelu_param prelu_param, python_param python_param, recurrent_param recurrent_param
layer: reduction_param reduction_param, relu_param relu_param, reshape_param reshape_param
layer: scale_param scale_param, sigmoid_param sigmoid_param, softmax_param softmax_param
layer: spp_param spp_param, slice_param slice_param, tanh_param tanh_param
layer: threshold_param threshold_param, tile_param tile_param
layer: window_data_param window_data_param

layers: string* bottom top, string name, rule* include exclude, blob* blobs
layers: NONE|ACCURACY|BNLL|CONCAT|CONVOLUTION|DATA|DROPOUT|EUCLIDEAN_LOSS|FLATTEN|HDF5_DATA|\
HDF5_OUTPUT|IM2COL|IMAGE_DATA|INFOGAIN_LOSS|INNER_PRODUCT|LRN|MULTINOMIAL_LOGISTIC_LOSS|POOLING|\
RELU|SIGMOID|SOFTMAX|SOFTMAX_LOSS|SPLIT|TANH|WINDOW_DATA|ELTWISE|POWER|\
SIGMOID_CROSS_ENTROPY_LOSS|HINGE_LOSS|MEMORY_DATA|ARGMAX|THRESHOLD|DUMMY_DATA|SLICE|MVN|ABSVAL|\
SILENCE|CONTRASTIVE_LOSS|EXP|DECONVOLUTION type
layers: string* param, STRICT|PERMISSIVE* blob_share_mode, float* blobs_lr weight_decay loss_weight
layers: accuracy_param accuracy_param, argmax_param argmax_param, concat_param concat_param
layers: contrastive_loss_param contrastive_loss_param, convolution_param convolution_param
layers: data_param data_param, dropout_param dropout_param, dummy_data_param dummy_data_param
layers: eltwise_param eltwise_param, exp_param exp_param, hdf5_data_param hdf5_data_param
layers: hdf5_output_param hdf5_output_param, hinge_loss_param hinge_loss_param
layers: image_data_param image_data_param, infogain_loss_param infogain_loss_param
layers: inner_product_param inner_product_param, lrn_param lrn_param
layers: memory_data_param memory_data_param, mvn_param mvn_param, pooling_param pooling_param
layers: power_param power_param, relu_param relu_param, sigmoid_param sigmoid_param
layers: softmax_param softmax_param, slice_param slice_param, tanh_param tanh_param
layers: threshold_param threshold_param, window_data_param window_data_param
layers: transform_param transform_param, loss_param loss_param

transform_param: float scale, bool mirror force_color force_gray, uint crop_size
transform_param: string mean_file, float* mean_value
loss_param: int ignore_label, FULL|VALID|BATCH_SIZE|NONE normalization, bool normalize
accuracy_param: uint top_k, int axis ignore_label
argmax_param: bool out_max_val, uint top_k, int axis
batch_norm_param: bool use_global_stats, float moving_average_fraction eps
bias_param: int axis num_axes, filler filler
concat_param: int axis, uint concat_dim
contrastive_loss_param: float margin, bool legacy_version
convolution_param: uint num_output group pad_h pad_w kernel_h kernel_w stride_h stride_w
convolution_param: uint* pad kernel_size stride dilation, int axis, bool bias_term force_nd_im2col
convolution_param: filler weight_filler bias_filler, {_ENGINE} engine
crop_param: int axis, uint* offset
data_param: string source mean_file, uint batch_size rand_skip crop_size prefetch
data_param: LEVELDB|LMDB backend, float scale, bool mirror force_encoded_color
dropout_param: float dropout_ratio
dummy_data_param: filler* data_filler, shape* shape, uint* num channels height width
eltwise_param: PROD|SUM|MAX operation, float* coeff, bool stable_prod_grad
elu_param: float alpha
embed_param: uint num_output input_dim, bool bias_term, filler weight_filler bias_filler
exp_param: float base scale shift
flatten_param: int axis end_axis
hdf5_data_param: string source, uint batch_size, bool shuffle
hdf5_output_param: string file_name
hinge_loss_param: L1=1|L2=2 norm
image_data_param: string source mean_file root_folder, float scale
image_data_param: uint batch_size rand_skip new_height new_width crop_size
image_data_param: bool shuffle is_color mirror
infogain_loss_param: string source, int axis
inner_product_param: uint num_output, bool bias_term transpose, int axis
inner_product_param: filler weight_filler bias_filler
input_param: shape* shape
log_param: float base scale shift
lrn_param: uint local_size, float alpha beta k, ACROSS_CHANNELS|WITHIN_CHANNEL norm_region
lrn_param: {_ENGINE} engine
memory_data_param: uint batch_size channels height width
mvn_param: bool normalize_variance across_channels, float eps
parameter_param: shape shape
pooling_param: {_POOL} pool, uint pad pad_h pad_w kernel_size kernel_h kernel_w
pooling_param: uint stride stride_h stride_w, {_ENGINE} engine, bool global_pooling
power_param: float power scale shift
prelu_param: filler filler, bool channel_shared
python_param: string module layer param_str, bool share_in_parallel
recurrent_param: uint num_output, filler weight_filler bias_filler, bool debug_info expose_hidden
reduction_param: SUM=1|ASUM=2|SUMSQ=3|MEAN=4 operation, int axis, float coeff
relu_param: float negative_slope, {_ENGINE} engine
reshape_param: shape shape, int axis num_axes
scale_param: int axis num_axes, bool bias_term, filler filler bias_filler
sigmoid_param: {_ENGINE} engine
slice_param: int axis, uint* slice_point, uint slice_dim
softmax_param: {_ENGINE} engine, int axis
spp_param: uint pyramid_height, {_POOL} pool, {_ENGINE} engine
tanh_param: {_ENGINE} engine
threshold_param: float threshold
tile_param: int axis tiles
window_data_param: string source mean_file crop_mode root_folder, float scale
window_data_param: uint batch_size crop_size context_pad, bool mirror cache_images
window_data_param: float fg_threshold bg_threshold fg_fraction
""")

BVLC = Reader(
    key="bvlc",
    name="BVLC Caffe 1.0",
    source="BVLC/caffe, src/caffe/proto/caffe.proto (commit 3ba2054) and src/caffe/layers, 1.0",
    types=words(
        "AbsVal Accuracy ArgMax BatchNorm BatchReindex Bias BNLL Concat ContrastiveLoss "
        "Convolution Crop Data Deconvolution Dropout DummyData Eltwise ELU Embed EuclideanLoss "
        "Exp Filter Flatten HDF5Data HDF5Output HingeLoss Im2col ImageData InfogainLoss "
        "InnerProduct Input Log LRN LSTM LSTMUnit MemoryData MultinomialLogisticLoss MVN "
        "Parameter Pooling Power PReLU Python Reduction ReLU Reshape RNN Scale Sigmoid "
        "SigmoidCrossEntropyLoss Silence Slice Softmax SoftmaxWithLoss Split SPP TanH Threshold "
        "Tile WindowData"
    ),
    schema=SCHEMA,
    most_blobs={"BatchNorm": 3},
)
