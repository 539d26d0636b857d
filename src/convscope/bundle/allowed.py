"""What a saved architecture may name: a list of Keras' own classes and of our layers; no function, file or address."""

from __future__ import annotations


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


LAYERS = _names(
    """
    Activation ActivityRegularization Add AdditiveAttention AlphaDropout Attention Average AveragePooling1D
    AveragePooling2D AveragePooling3D AdaptiveAveragePooling2D AdaptiveMaxPooling2D BatchNormalization Bidirectional
    CategoryEncoding CenterCrop Concatenate Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose
    Cropping1D Cropping2D Cropping3D Dense DepthwiseConv1D DepthwiseConv2D Dot Dropout ELU Embedding Flatten
    GaussianDropout GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D
    GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D GRU GRUCell GroupNormalization GroupQueryAttention
    Identity InputLayer LSTM LSTMCell LayerNormalization LeakyReLU Masking MaxPooling1D MaxPooling2D MaxPooling3D
    Maximum Minimum MultiHeadAttention Multiply Normalization PReLU Permute RMSNormalization RNN ReLU RepeatVector
    Rescaling Reshape Resizing SeparableConv1D SeparableConv2D SimpleRNN SimpleRNNCell Softmax SpatialDropout1D
    SpatialDropout2D SpatialDropout3D SpectralNormalization Subtract TimeDistributed UnitNormalization UpSampling1D
    UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D
    """
)
INITIALIZERS = _names(
    """
    Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity LecunNormal LecunUniform Ones Orthogonal
    RandomNormal RandomUniform TruncatedNormal VarianceScaling Zeros
    """
)
REGULARIZERS = frozenset(("L1", "L2", "L1L2", "OrthogonalRegularizer"))
CONSTRAINTS = frozenset(("MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm"))
ACTIVATIONS = _names(
    """
    celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear log_sigmoid
    log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign sparse_plus sparse_sigmoid
    sparsemax squareplus swish tanh tanh_shrink threshold
    """
)
DTYPES = _names(
    "bfloat16 bool float16 float32 float64 int16 int32 int64 int8 mixed_bfloat16 mixed_float16 uint16 uint32 uint8"
)
# operations that a functional graph records for `a + b`, `keras.ops.relu(x)` and the like
OPERATIONS = {
    "keras.src.ops.numpy": "Abs Absolute Add Clip Concatenate Divide Exp Log Matmul Max Maximum Mean Min Minimum "
    "Multiply Negative Power Prod Reshape Sqrt Square Squeeze Subtract Sum Transpose TrueDivide GetItem ExpandDims",
    "keras.src.ops.nn": "Relu Relu6 Sigmoid Silu Softplus Softsign Tanh Gelu Elu Selu LeakyRelu HardSigmoid HardSilu "
    "LogSoftmax Softmax AveragePool MaxPool",
    "keras.src.ops.core": "Cast",
}
# classes of keras.applications that are no public layers
APPLICATIONS = {
    "keras.src.applications.convnext": "LayerScale StochasticDepth",
    "keras.src.applications.inception_resnet_v2": "CustomScaleLayer",
}
# convscope's own layers: settings are numbers, there is no weight and no code in them
OWN = {
    "convscope.layers.found_boxes": "ClassBoxes PointBoxes",
    "convscope.layers.proposals": "Proposals",
    "convscope.layers.roi_align": "RoiAlign",
}
MODELS = {"keras": "Functional Model Sequential", "keras.models": "Functional Model Sequential",
          "keras.src.models.functional": "Functional", "keras.src.models.sequential": "Sequential"}  # fmt: skip

ALLOWED: frozenset[tuple[str, str]] = frozenset(
    [
        *(("keras.layers", name) for name in LAYERS),
        *(("keras.initializers", name) for name in INITIALIZERS),
        *(("keras.regularizers", name) for name in REGULARIZERS),
        *(("keras.constraints", name) for name in CONSTRAINTS),
        ("keras", "DTypePolicy"),
        ("keras.dtype_policies", "DTypePolicy"),
        *(
            (module, name)
            for table in (OPERATIONS, APPLICATIONS, OWN, MODELS)
            for module, names in table.items()
            for name in names.split()
        ),
    ]
)
LAYER_LIKE = frozenset({"keras.layers", *OPERATIONS, *APPLICATIONS, *OWN})  # counted as layers


def snake(name: str) -> str:
    """HeNormal -> he_normal, as Keras also accepts it in a config."""
    return "".join(f"_{c.lower()}" if c.isupper() and k and not name[k - 1].isupper() else c.lower()
                   for k, c in enumerate(name))  # fmt: skip


NAMED_OBJECTS = {
    "initializer": INITIALIZERS | {snake(n) for n in INITIALIZERS},
    "regularizer": REGULARIZERS | {snake(n) for n in REGULARIZERS},
    "constraint": CONSTRAINTS | {snake(n) for n in CONSTRAINTS},
    "activation": ACTIVATIONS,
}
