"""What in an input a network's answer rests on."""

from jdl.explain.filters import kernel_images as kernel_images
from jdl.explain.filters import most_activating as most_activating
from jdl.explain.grad_cam import class_activation_map as class_activation_map
from jdl.explain.grad_cam import grad_cam as grad_cam
from jdl.explain.grad_cam import grad_cam_of as grad_cam_of
from jdl.explain.grad_cam import resized as resized
from jdl.explain.occlusion import occlusion as occlusion
from jdl.explain.occlusion import over_pixels as over_pixels
from jdl.explain.saliency import deconvolution_relu as deconvolution_relu
from jdl.explain.saliency import guided_relu as guided_relu
from jdl.explain.saliency import saliency as saliency
from jdl.explain.saliency import smooth_grad as smooth_grad
