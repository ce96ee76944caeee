"""Models of images and texts."""

from jdl.models.multimodal.captioner import captioner as captioner
from jdl.models.multimodal.clip import clip as clip
from jdl.models.multimodal.clip import clip_text as clip_text
from jdl.models.multimodal.dalle import dalle as dalle
from jdl.models.multimodal.dalle import draw_codes as draw_codes
from jdl.models.multimodal.dalle import rerank as rerank
from jdl.models.multimodal.dalle import text_and_image_likelihood as text_and_image_likelihood
from jdl.models.multimodal.discrete_vae import discrete_vae as discrete_vae
from jdl.models.multimodal.discrete_vae import evidence_bound as evidence_bound
from jdl.models.multimodal.two_towers import matching as matching
from jdl.models.multimodal.two_towers import two_towers as two_towers
