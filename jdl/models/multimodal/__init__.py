"""Models of images and texts."""

from jdl.models.multimodal.captioner import captioner as captioner
from jdl.models.multimodal.clip import clip as clip
from jdl.models.multimodal.clip import clip_text as clip_text
from jdl.models.multimodal.two_towers import matching as matching
from jdl.models.multimodal.two_towers import two_towers as two_towers
