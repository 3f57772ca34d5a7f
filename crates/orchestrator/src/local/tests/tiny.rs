//! Writes GGUF files of each architecture with random weights and a real tokenizer, small enough to make in a test: that a
//! file of the kind loads and generates, not that it makes sense.

use std::{fs, path::Path};

const WIDTH: u64 = 64;
const HEAD: u64 = 32;
const INNER: u64 = 96;
const LAYERS: u32 = 2;
const ALIGNMENT: usize = 32;

/// A model of the architecture with the tokenizer (and chat template) of a whole model file.
pub fn write(path: &Path, donor: &[u8], architecture: &str) {
    let (tokenizer, entries, vocabulary) = tokenizer(donor);
    let mut head = Head::default();
    head.text("general.architecture", architecture);
    let key = |name: &str| format!("{architecture}.{name}");
    for (name, value) in [
        ("block_count", LAYERS),
        ("context_length", 256),
        ("embedding_length", WIDTH as u32),
        ("feed_forward_length", INNER as u32),
        ("attention.head_count", 2),
        ("attention.head_count_kv", 1),
        ("attention.key_length", HEAD as u32),
        ("attention.value_length", HEAD as u32),
        ("rope.dimension_count", HEAD as u32),
        ("attention.sliding_window", 64),
    ] {
        head.number(&key(name), value);
    }
    head.real(&key("rope.freq_base"), 10_000.0);
    head.real(&key("attention.layer_norm_rms_epsilon"), 1e-6);

    let tensors = tensors(architecture, vocabulary);
    let mut infos = Vec::new();
    let mut data = Vec::new();
    let mut chance = 1_u32;
    for (name, shape) in &tensors {
        infos.extend(text(name));
        infos.extend((shape.len() as u32).to_le_bytes());
        infos.extend(shape.iter().flat_map(|size| size.to_le_bytes()));
        infos.extend(0_u32.to_le_bytes());
        infos.extend((data.len() as u64).to_le_bytes());
        for _ in 0..shape.iter().product::<u64>() {
            chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let random = (chance >> 8) as f32 / (1 << 24) as f32 - 0.5;
            let value = if name.contains("norm") {
                1.0
            } else {
                random * 0.5
            };
            data.extend(value.to_le_bytes());
        }
        data.resize(data.len().next_multiple_of(ALIGNMENT), 0);
    }
    let mut file = b"GGUF".to_vec();
    file.extend(3_u32.to_le_bytes());
    file.extend((tensors.len() as u64).to_le_bytes());
    file.extend((head.entries + entries).to_le_bytes());
    file.extend(head.bytes);
    file.extend(tokenizer);
    file.extend(infos);
    file.resize(file.len().next_multiple_of(ALIGNMENT), 0);
    file.extend(data);
    fs::write(path, file).unwrap();
}

fn tensors(architecture: &str, vocabulary: u64) -> Vec<(String, Vec<u64>)> {
    let mut tensors = vec![
        ("token_embd.weight".to_owned(), vec![WIDTH, vocabulary]),
        ("output_norm.weight".to_owned(), vec![WIDTH]),
    ];
    for layer in 0..LAYERS {
        let mut add = |name: &str, shape: &[u64]| {
            tensors.push((format!("blk.{layer}.{name}"), shape.to_vec()));
        };
        add("attn_norm.weight", &[WIDTH]);
        add("attn_q.weight", &[WIDTH, 2 * HEAD]);
        add("attn_k.weight", &[WIDTH, HEAD]);
        add("attn_v.weight", &[WIDTH, HEAD]);
        add("attn_output.weight", &[2 * HEAD, WIDTH]);
        add("ffn_norm.weight", &[WIDTH]);
        add("ffn_gate.weight", &[WIDTH, INNER]);
        add("ffn_up.weight", &[WIDTH, INNER]);
        add("ffn_down.weight", &[INNER, WIDTH]);
        if architecture == "qwen2" {
            add("attn_q.bias", &[2 * HEAD]);
            add("attn_k.bias", &[HEAD]);
            add("attn_v.bias", &[HEAD]);
        }
        if matches!(architecture, "qwen3" | "gemma3") {
            add("attn_q_norm.weight", &[HEAD]);
            add("attn_k_norm.weight", &[HEAD]);
        }
        if architecture == "gemma3" {
            add("post_attention_norm.weight", &[WIDTH]);
            add("post_ffw_norm.weight", &[WIDTH]);
        }
    }
    tensors
}

#[derive(Default)]
struct Head {
    bytes: Vec<u8>,
    entries: u64,
}

impl Head {
    fn entry(&mut self, key: &str, kind: u32, value: &[u8]) {
        self.entries += 1;
        self.bytes.extend(text(key));
        self.bytes.extend(kind.to_le_bytes());
        self.bytes.extend(value);
    }

    fn number(&mut self, key: &str, value: u32) {
        self.entry(key, 4, &value.to_le_bytes());
    }

    fn real(&mut self, key: &str, value: f32) {
        self.entry(key, 6, &value.to_le_bytes());
    }

    fn text(&mut self, key: &str, value: &str) {
        self.entry(key, 8, &text(value));
    }
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

/// The entries of a file about its tokenizer, as they stand there; how many they are; and how many tokens there are.
fn tokenizer(file: &[u8]) -> (Vec<u8>, u64, u64) {
    let u64_at = |at: usize| u64::from_le_bytes(file[at..at + 8].try_into().unwrap());
    let u32_at = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    let size_of = |kind: u32, at: usize| match kind {
        0 | 1 | 7 => 1,
        2 | 3 => 2,
        4..=6 => 4,
        10..=12 => 8,
        8 => 8 + u64_at(at) as usize,
        other => panic!("type {other}"),
    };
    let (mut kept, mut entries, mut vocabulary) = (Vec::new(), 0, 0);
    let mut at = 24;
    for _ in 0..u64_at(16) {
        let begin = at;
        let length = u64_at(at) as usize;
        let key = std::str::from_utf8(&file[at + 8..at + 8 + length]).unwrap();
        at += 8 + length;
        let kind = u32_at(at);
        at += 4;
        if kind == 9 {
            let (of, count) = (u32_at(at), u64_at(at + 4));
            at += 12;
            for _ in 0..count {
                at += size_of(of, at);
            }
            if key == "tokenizer.ggml.tokens" {
                vocabulary = count;
            }
        } else {
            at += size_of(kind, at);
        }
        if key.starts_with("tokenizer.") {
            kept.extend(&file[begin..at]);
            entries += 1;
        }
    }
    (kept, entries, vocabulary)
}
