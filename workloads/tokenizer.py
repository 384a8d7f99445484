"""A deterministic tokenizer for machines that hold no vocabulary file: one token a byte.

Token counts, padding and the encoder's work are as with a real vocabulary of the same ``model_max_length``; which ids appear
is not.
"""

from __future__ import annotations

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

NOTE = "Prompts are tokenized byte by byte: random weights come without a vocabulary."

START, END = "<|startoftext|>", "<|endoftext|>"


def byte_tokenizer(max_length: int) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer of 258 tokens that frames prompts with start and end tokens.

    Args:
        max_length: tokens that a prompt is padded or cut to.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*alphabet, START, END])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(
        (END, vocabulary[END]), (START, vocabulary[START]), trim_offsets=False, add_prefix_space=False
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=START, eos_token=END, pad_token=END, model_max_length=max_length
    )
