"""The backbones of keras.applications as a table: constructor, sizes, value scaling, stages, files of weights.

Files and digests are the ones that Keras 3.15 itself states (no-top variants); MobileNet V1 and V2
have no digest there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# caffe: BGR minus the ImageNet mean; tf: x / 127.5 - 1; torch: per-channel mean and deviation of x / 255;
# included: Keras' constructor adds it; efficientnet: Keras keeps it in the weights, convscope as the torch kind
Scaling = Literal["caffe", "tf", "torch", "included", "efficientnet"]

# A stage begins at a layer whose name matches; its first group names the stage (see stages.stages_of).
BLOCK = r"^(block\d+)_"
RESNET = r"^(conv1|conv\d+_block\d+)_"
INCEPTION = r"^(mixed\d+(?:_\d)?)$"
INCEPTION_RESNET = r"^(mixed_\w+|block\d+_\d+_ac)$"
MOBILENET = r"^conv_[dp]w_(\d+)"
MOBILENET_V2 = r"^(expanded_conv|block_\d+|Conv_1)"
MOBILENET_V3 = r"^(expanded_conv(?:_\d+)?(?=_[a-z])|conv_1)"
DENSENET = r"^(conv1|conv\d+_block\d+|pool\d)_"
NASNET = r"^(?:separable|normal|reduction|adjust)\w*?_((?:stem_|reduce_)?\d+)$"
EFFICIENTNET = r"^(stem|block\d+[a-z]+|top)_"
CONVNEXT = r"(stem|stage_\d+_block_\d+|downsampling_block_\d+)"

HOST = "https://storage.googleapis.com/"


@dataclass(frozen=True)
class KerasWeights:
    """One weights file of keras.applications, without the classification layers.

    Attributes:
        url: where Keras itself takes it from; its last part is the file's name in the cache.
        digest: MD5 (32 hexadecimal digits) or SHA-256 (64) as Keras states it; "" where Keras states none.
        cached_as: the file's name in Keras' cache, where it differs from the URL's last part.
    """

    url: str
    digest: str = ""
    cached_as: str = ""

    @property
    def name(self) -> str:
        """The file's name in Keras' cache."""
        return self.cached_as or self.url.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Backbone:
    """One backbone of keras.applications.

    Attributes:
        constructor: its name in keras.applications.
        default_px: side of the square pictures its weights were trained on.
        minimum_px: the smallest side Keras accepts.
        scaling: what its weights want of pixel values.
        stage: regular expression that finds its stages.
        weights: the no-top file of ImageNet weights.
    """

    constructor: str
    default_px: int
    minimum_px: int
    scaling: Scaling
    stage: str
    weights: KerasWeights


def _row(constructor: str, px: tuple[int, int], scaling: Scaling, stage: str, *file: str) -> Backbone:
    path, *rest = file
    return Backbone(constructor, px[0], px[1], scaling, stage, KerasWeights(HOST + path, *rest))


_TF = "tensorflow/keras-applications/"
_NO_TOP = "_weights_tf_dim_ordering_tf_kernels_notop.h5"

# fmt: off
BACKBONES: dict[str, Backbone] = {
    "vgg16": _row("VGG16", (224, 32), "caffe", BLOCK, f"{_TF}vgg16/vgg16{_NO_TOP}", "6d6bbae143d832006294945121d1f1fc"),
    "vgg19": _row("VGG19", (224, 32), "caffe", BLOCK, f"{_TF}vgg19/vgg19{_NO_TOP}", "253f8cb515780f3b799900260a226db6"),
    "resnet50": _row("ResNet50", (224, 32), "caffe", RESNET,
        f"{_TF}resnet/resnet50{_NO_TOP}", "4d473c1dd8becc155b73f8504c6f6626"),
    "resnet101": _row("ResNet101", (224, 32), "caffe", RESNET,
        f"{_TF}resnet/resnet101{_NO_TOP}", "88cf7a10940856eca736dc7b7e228a21"),
    "resnet152": _row("ResNet152", (224, 32), "caffe", RESNET,
        f"{_TF}resnet/resnet152{_NO_TOP}", "ee4c566cf9a93f14d82f913c2dc6dd0c"),
    "resnet50-v2": _row("ResNet50V2", (224, 32), "tf", RESNET,
        f"{_TF}resnet/resnet50v2{_NO_TOP}", "fac2f116257151a9d068a22e544a4917"),
    "resnet101-v2": _row("ResNet101V2", (224, 32), "tf", RESNET,
        f"{_TF}resnet/resnet101v2{_NO_TOP}", "c0ed64b8031c3730f411d2eb4eea35b5"),
    "resnet152-v2": _row("ResNet152V2", (224, 32), "tf", RESNET,
        f"{_TF}resnet/resnet152v2{_NO_TOP}", "ed17cf2e0169df9d443503ef94b23b33"),
    "inception-v3": _row("InceptionV3", (299, 75), "tf", INCEPTION,
        f"{_TF}inception_v3/inception_v3{_NO_TOP}", "bcbd6486424b2319ff4ef7d526e38f63"),
    "inception-resnet-v2": _row("InceptionResNetV2", (299, 75), "tf", INCEPTION_RESNET,
        f"{_TF}inception_resnet_v2/inception_resnet_v2{_NO_TOP}", "d19885ff4a710c122648d3b5c3b684e4"),
    "xception": _row("Xception", (299, 71), "tf", BLOCK,
        f"{_TF}xception/xception{_NO_TOP}", "b0042744bf5b25fce3cb969f33bebb97"),
    "mobilenet": _row("MobileNet", (224, 32), "tf", MOBILENET, f"{_TF}mobilenet/mobilenet_1_0_224_tf_no_top.h5"),
    "mobilenet-v2": _row("MobileNetV2", (224, 32), "tf", MOBILENET_V2,
        f"{_TF}mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"),
    "mobilenet-v3-small": _row("MobileNetV3Small", (224, 32), "included", MOBILENET_V3,
        f"{_TF}mobilenet_v3/weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5", "d3e8ec802a04aa4fc771ee12a9a9b836"),
    "mobilenet-v3-large": _row("MobileNetV3Large", (224, 32), "included", MOBILENET_V3,
        f"{_TF}mobilenet_v3/weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5", "07fb09a5933dd0c8eaafa16978110389"),
    "densenet121": _row("DenseNet121", (224, 32), "torch", DENSENET,
        f"{_TF}densenet/densenet121{_NO_TOP}", "30ee3e1110167f948a6b9946edeeb738"),
    "densenet169": _row("DenseNet169", (224, 32), "torch", DENSENET,
        f"{_TF}densenet/densenet169{_NO_TOP}", "b8c4d4c20dd625c148057b9ff1c1176b"),
    "densenet201": _row("DenseNet201", (224, 32), "torch", DENSENET,
        f"{_TF}densenet/densenet201{_NO_TOP}", "c13680b51ded0fb44dff2d8f86ac8bb1"),
    "nasnet-mobile": _row("NASNetMobile", (224, 32), "tf", NASNET,
        f"{_TF}nasnet/NASNet-mobile-no-top.h5", "1ed92395b5b598bdda52abe5c0dbfd63", "nasnet_mobile_no_top.h5"),
    "nasnet-large": _row("NASNetLarge", (331, 32), "tf", NASNET,
        f"{_TF}nasnet/NASNet-large-no-top.h5", "d81d89dc07e6e56530c4e77faddd61b5", "nasnet_large_no_top.h5"),
    "efficientnet-b0": _row("EfficientNetB0", (224, 32), "efficientnet", EFFICIENTNET,
        "keras-applications/efficientnetb0_notop.h5", "50bc09e76180e00e4465e1a485ddc09d"),
    "efficientnet-b1": _row("EfficientNetB1", (240, 32), "efficientnet", EFFICIENTNET,
        "keras-applications/efficientnetb1_notop.h5", "74c4e6b3e1f6a1eea24c589628592432"),
    "efficientnet-b2": _row("EfficientNetB2", (260, 32), "efficientnet", EFFICIENTNET,
        "keras-applications/efficientnetb2_notop.h5", "111f8e2ac8aa800a7a99e3239f7bfb39"),
    "efficientnet-b3": _row("EfficientNetB3", (300, 32), "efficientnet", EFFICIENTNET,
        "keras-applications/efficientnetb3_notop.h5", "af6d107764bb5b1abb91932881670226"),
    "efficientnet-b4": _row("EfficientNetB4", (380, 32), "efficientnet", EFFICIENTNET,
        "keras-applications/efficientnetb4_notop.h5", "ebc24e6d6c33eaebbd558eafbeedf1ba"),
    "efficientnet-b5": _row("EfficientNetB5", (456, 32), "efficientnet", EFFICIENTNET,
        "keras-applications/efficientnetb5_notop.h5", "38879255a25d3c92d5e44e04ae6cec6f"),
    "efficientnet-b6": _row("EfficientNetB6", (528, 32), "efficientnet", EFFICIENTNET,
        "keras-applications/efficientnetb6_notop.h5", "9ecce42647a20130c1f39a5d4cb75743"),
    "efficientnet-b7": _row("EfficientNetB7", (600, 32), "efficientnet", EFFICIENTNET,
        "keras-applications/efficientnetb7_notop.h5", "cbcfe4450ddf6f3ad90b1b398090fe4a"),
    "efficientnet-v2-b0": _row("EfficientNetV2B0", (224, 32), "included", EFFICIENTNET,
        f"{_TF}efficientnet_v2/efficientnetv2-b0_notop.h5", "893217f2bb855e2983157299931e43ff"),
    "efficientnet-v2-b1": _row("EfficientNetV2B1", (240, 32), "included", EFFICIENTNET,
        f"{_TF}efficientnet_v2/efficientnetv2-b1_notop.h5", "0e80663031ca32d657f9caa404b6ec37"),
    "efficientnet-v2-b2": _row("EfficientNetV2B2", (260, 32), "included", EFFICIENTNET,
        f"{_TF}efficientnet_v2/efficientnetv2-b2_notop.h5", "1dfe2e7a5d45b6632553a8961ea609eb"),
    "efficientnet-v2-b3": _row("EfficientNetV2B3", (300, 32), "included", EFFICIENTNET,
        f"{_TF}efficientnet_v2/efficientnetv2-b3_notop.h5", "f6abf7b5849ac99a89b50dd3fd532856"),
    "efficientnet-v2-s": _row("EfficientNetV2S", (384, 32), "included", EFFICIENTNET,
        f"{_TF}efficientnet_v2/efficientnetv2-s_notop.h5", "af0682fb74e8c54910f2d4393339c070"),
    "efficientnet-v2-m": _row("EfficientNetV2M", (480, 32), "included", EFFICIENTNET,
        f"{_TF}efficientnet_v2/efficientnetv2-m_notop.h5", "1b8dc055df72dde80d614482840fe342"),
    "efficientnet-v2-l": _row("EfficientNetV2L", (480, 32), "included", EFFICIENTNET,
        f"{_TF}efficientnet_v2/efficientnetv2-l_notop.h5", "b0b66b5c863aef5b46e8608fe1711615"),
    "convnext-tiny": _row("ConvNeXtTiny", (224, 32), "included", CONVNEXT,
        f"{_TF}convnext/convnext_tiny_notop.h5", "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1"),
    "convnext-small": _row("ConvNeXtSmall", (224, 32), "included", CONVNEXT,
        f"{_TF}convnext/convnext_small_notop.h5", "6fc8009faa2f00c1c1dfce59feea9b0745eb260a7dd11bee65c8e20843da6eab"),
    "convnext-base": _row("ConvNeXtBase", (224, 32), "included", CONVNEXT,
        f"{_TF}convnext/convnext_base_notop.h5", "40a20c5548a5e9202f69735ecc06c990e6b7c9d2de39f0361e27baeb24cb7c45"),
    "convnext-large": _row("ConvNeXtLarge", (224, 32), "included", CONVNEXT,
        f"{_TF}convnext/convnext_large_notop.h5", "96f02b6f0753d4f543261bc9d09bed650f24dd6bc02ddde3066135b63d23a1cd"),
    "convnext-xlarge": _row("ConvNeXtXLarge", (224, 32), "included", CONVNEXT,
        f"{_TF}convnext/convnext_xlarge_notop.h5", "de3f8a54174130e0cecdc71583354753d557fcf1f4487331558e2a16ba0cfe05"),
}
# fmt: on
