"""What is measured: one file a model family, driving the classes of diffusers and transformers."""

from transformers.utils import logging

# The libraries' advice (missing torchvision, byte-level tokenizers) is not for somebody who measures a built-in workload.
logging.set_verbosity_error()
