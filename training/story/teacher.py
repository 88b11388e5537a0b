"""The teacher: SmolLM2-135M-Instruct read from its GGUF file, decoding many slots at once with one static cache.

Weights stay in GGUF's own order, so rotation pairs neighbours and nothing is permuted.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from . import kernels
from .kernels import rms_norm, rotate


@dataclass(frozen=True)
class Shape:
    layers: int
    hidden: int
    inner: int
    heads: int
    kv_heads: int
    size: int
    vocab: int
    rope_base: float
    eps: float


def read_gguf(path: str) -> tuple[Shape, dict[str, torch.Tensor]]:
    """Shape and float32 tensors [rows, columns] of a "llama" GGUF file with a tied head."""
    import gguf

    reader = gguf.GGUFReader(path)
    value = lambda key: reader.fields[f"llama.{key}"].contents()  # noqa: E731
    weights = {t.name: torch.from_numpy(gguf.quants.dequantize(t.data, t.tensor_type).copy()).float() for t in reader.tensors}
    heads, hidden = value("attention.head_count"), value("embedding_length")
    shape = Shape(
        value("block_count"), hidden, value("feed_forward_length"), heads, value("attention.head_count_kv"), hidden // heads,
        len(weights["token_embd.weight"]), value("rope.freq_base"), value("attention.layer_norm_rms_epsilon"),
    )  # fmt: skip
    return shape, weights


def read_tokenizer(path: str):
    """The file's byte-level BPE as a `tokenizers.Tokenizer`, control tokens included."""
    import gguf
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    fields = gguf.GGUFReader(path).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    types = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t, kind in zip(tokens, types, strict=True) if kind == 3])
    return tokenizer


def sentence_flags(tokenizer, vocab: int) -> tuple[torch.Tensor, torch.Tensor]:
    """For every token: may a sentence end with it, and does it begin something new (a space, a line, the end)?"""
    ends, fresh = torch.zeros(vocab, dtype=torch.bool), torch.zeros(vocab, dtype=torch.bool)
    for token in range(vocab):
        name = tokenizer.id_to_token(token) or ""
        ends[token] = name.rstrip("\"'âĢĿ").endswith((".", "!", "?"))
        fresh[token] = name.startswith(("Ġ", "Ċ", "<|"))
    return ends, fresh


class Teacher:
    """`slots` texts of up to `length` tokens, each writing until its sentence ends after position `soft`, or at `hard`.

    `script[slot, i]`, where it is not negative, is the token that must stand at position i, whatever the teacher would write.
    `text[slot, : position + 1]` is what stands. A slot that is done stands still until `prefill` or `resume`.
    """

    def __init__(self, shape: Shape, weights: dict[str, torch.Tensor], slots: int, length: int, tokenizer, device: str = "cpu", min_p: float = 0.05):
        self.shape, self.slots, self.length, self.min_p, self.device = shape, slots, length, min_p, device
        self.presence, self.repeat = 0.1, 4.0
        self.dtype = torch.bfloat16 if device == "cuda" else torch.float32
        put = lambda t: t.to(device, self.dtype).contiguous()  # noqa: E731
        self.embedding, self.norm = put(weights["token_embd.weight"]), put(weights["output_norm.weight"])
        self.layers = []
        for n in range(shape.layers):
            w = lambda name, n=n: weights[f"blk.{n}.{name}.weight"]  # noqa: E731
            self.layers.append((
                put(w("attn_norm")), put(torch.cat((w("attn_q"), w("attn_k"), w("attn_v")))), put(w("attn_output")),
                put(w("ffn_norm")), put(torch.cat((w("ffn_gate"), w("ffn_up")))), put(w("ffn_down")),
            ))  # fmt: skip
        angle = torch.arange(length)[:, None] * shape.rope_base ** (-torch.arange(0, shape.size, 2) / shape.size)
        self.cos, self.sin = angle.cos().to(device).contiguous(), angle.sin().to(device).contiguous()
        cache = lambda: torch.zeros(shape.layers, slots, shape.kv_heads, length, shape.size, dtype=self.dtype, device=device)  # noqa: E731
        self.keys, self.values = cache(), cache()
        integers = lambda *size: torch.zeros(*size, dtype=torch.int32, device=device)  # noqa: E731
        self.token, self.position, self.step_number = integers(slots), integers(slots), integers(1)
        self.soft, self.hard = integers(slots), integers(slots)
        self.text, self.script = integers(slots, length), integers(slots, length) - 1
        self.done = torch.ones(slots, dtype=torch.bool, device=device)
        self.temperature = torch.ones(slots, device=device)
        self.row = torch.arange(slots, device=device)
        self.ends, self.fresh = (flags.to(device) for flags in sentence_flags(tokenizer, shape.vocab))
        self.stop = [tokenizer.token_to_id(t) for t in ("<|im_end|>", "<|endoftext|>")]
        self.ops = kernels.Reference
        self.graph = None

    @torch.inference_mode()
    def prefill(self, slots: torch.Tensor, tokens: torch.Tensor, lengths: torch.Tensor, temperature: torch.Tensor, soft: torch.Tensor, hard: torch.Tensor) -> None:
        """Starts `slots` on prompts `tokens` [n, width], padded on the right, of at least two tokens each."""
        s, width = self.shape, tokens.shape[1]
        x = self.embedding[tokens]
        cos, sin = self.cos[:width, None], self.sin[:width, None]
        for n, (attn_norm, qkv, out, ffn_norm, gate_up, down) in enumerate(self.layers):
            y = F.linear(rms_norm(x, attn_norm, s.eps), qkv).view(len(tokens), width, -1, s.size)
            q, k, v = y.split((s.heads, s.kv_heads, s.kv_heads), 2)
            q, k, v = rotate(q, cos, sin).transpose(1, 2), rotate(k, cos, sin).transpose(1, 2), v.transpose(1, 2)
            self.keys[n, slots, :, :width] = k
            self.values[n, slots, :, :width] = v
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True).transpose(1, 2).flatten(2)
            x = x + F.linear(y, out)
            x = x + F.linear(kernels.Reference.silu_mul(F.linear(rms_norm(x, ffn_norm, s.eps), gate_up)), down)
        self.text[slots, :width] = tokens.int()
        self.script[slots] = -1
        self.temperature[slots] = temperature
        self.resume(slots, lengths, soft, hard)

    @torch.inference_mode()
    def resume(self, slots: torch.Tensor, lengths: torch.Tensor, soft: torch.Tensor, hard: torch.Tensor) -> None:
        """Lets `slots` go on after their first `lengths` tokens; the last of them goes through `step` again."""
        self.position[slots] = lengths.int() - 1
        self.token[slots] = self.text[slots, lengths - 1]
        self.soft[slots], self.hard[slots] = soft.int(), hard.int()
        self.done[slots] = False

    def _step(self) -> None:
        s, ops = self.shape, self.ops
        x = self.embedding[self.token]
        for n, (attn_norm, qkv, out, ffn_norm, gate_up, down) in enumerate(self.layers):
            q = ops.rope_store(F.linear(rms_norm(x, attn_norm, s.eps), qkv), self.position, self.cos, self.sin, self.keys[n], self.values[n], s.heads)
            x = torch.addmm(x, ops.attend(q, self.position, self.keys[n], self.values[n]), out.T)
            x = torch.addmm(x, ops.silu_mul(F.linear(rms_norm(x, ffn_norm, s.eps), gate_up)), down.T)
        logits = F.linear(rms_norm(x, self.norm, s.eps), self.embedding)
        ops.penalise(logits, self.text, self.position, self.presence, self.repeat)
        drawn = ops.sample(logits, self.temperature, self.min_p, self.step_number)
        self.step_number += 1
        live = ~self.done
        following = (self.position + 1).clamp(max=self.length - 1)
        given = self.script[self.row, following]
        free = given < 0
        token = torch.where(free, drawn, given)
        over = self.ends[self.token] & self.fresh[token] & (self.position >= self.soft)
        over = free & (over | (token == self.stop[0]) | (token == self.stop[1]) | (following >= self.hard))
        self.text[self.row, following] = torch.where(live, token, self.text[self.row, following])
        self.token.copy_(torch.where(live, token, self.token))
        self.position.copy_(torch.where(live, following, self.position))
        self.done |= over

    @torch.inference_mode()
    def step(self) -> None:
        self.graph.replay() if self.graph else self._step()

    @torch.inference_mode()
    def capture(self) -> str:
        """On a GPU: fused kernels if they work and agree with the references, and one CUDA graph a step. Says what is used."""
        if self.device != "cuda":
            return "references"
        used = "references"
        if kernels.triton is not None:
            try:
                kernels.check(self.shape, min(self.slots, 64), self.cos, self.sin, self.dtype)
                self.ops, used = kernels.Fused, "fused kernels"
            except Exception as error:  # any failure of the compiler or the check: the slow way still works
                print(f"teacher: fused kernels are not used: {error!r}", flush=True)
        for _ in range(3):
            self._step()
        torch.cuda.synchronize()
        try:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                self._step()
            self.graph, used = graph, used + ", CUDA graph"
        except Exception as error:
            print(f"teacher: no CUDA graph: {error!r}", flush=True)
        self.done.fill_(True)
        return used
