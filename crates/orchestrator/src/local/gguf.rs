//! Reads the head of a GGUF file and checks it, so that only a whole file of a kind we know is handed to
//! llama.cpp, which may end the process on one that is not. Not here: tensors' contents and the tokenizer.
//! Format: ggml's docs/gguf.md, versions 2 and 3.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufReader, Read},
    path::Path,
};

/// The architectures that are tried here; others may work or not, so they are refused.
pub(super) const ARCHITECTURES: [&str; 4] = ["llama", "qwen2", "qwen3", "gemma3"];

/// What is worth knowing before a file is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// One of [`ARCHITECTURES`].
    pub architecture: String,
    /// The context that the model was made for, in tokens.
    pub context_length: u32,
    /// Bytes of prompt cache for one token (16-bit keys and values of every layer).
    pub cache_bytes_per_token: u64,
    /// Whether texts are cut by regular expressions before they are tokenized (`gpt2`: byte-pair encoding).
    pub byte_pairs: bool,
    /// The chat template, where the file has one.
    pub template: Option<String>,
}

/// Why a file is refused: a sentence without its path.
pub(super) type Refusal = String;

/// Reads and checks the head of a file.
pub(super) fn read(path: &Path) -> Result<Header, Refusal> {
    let unreadable = |error: std::io::Error| format!("the file cannot be read ({})", error.kind());
    let file = File::open(path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    let mut reader = Reader {
        inner: BufReader::new(file),
        at: 0,
        length,
    };
    reader.header()
}

/// A value as far as it is needed: whole numbers, texts, and how many an array has.
#[derive(Debug, Clone)]
enum Value {
    Number(u64),
    Text(String),
    Array(Vec<u64>, u64),
    Other,
}

struct Reader {
    inner: BufReader<File>,
    at: u64,
    length: u64,
}

/// More than any real file has; less than what would exhaust memory.
const MOST_ENTRIES: u64 = 1 << 20;
/// llama.cpp's own limit.
const MOST_LAYERS: u64 = 512;
/// More than any real model has.
const MOST_WIDTH: u64 = 1 << 16;
/// Numbers of an array that are kept; heads per layer are the longest of interest.
const KEPT_NUMBERS: usize = 1024;

impl Reader {
    fn header(&mut self) -> Result<Header, Refusal> {
        if self.bytes::<4>()? != *b"GGUF" {
            return Err("the file is not a GGUF file".to_owned());
        }
        let version = self.u32()?;
        if !(2..=3).contains(&version) {
            return Err(format!(
                "the file is GGUF version {version}; versions 2 and 3 are known"
            ));
        }
        let (tensors, entries) = (self.u64()?, self.u64()?);
        if tensors == 0 || tensors > MOST_ENTRIES || entries > MOST_ENTRIES {
            return Err("the file's head is damaged: impossible counts".to_owned());
        }
        let mut values = HashMap::new();
        for _ in 0..entries {
            let key = self.text()?;
            let kind = self.u32()?;
            let value = self.value(kind)?;
            if values.insert(key, value).is_some() {
                return Err("the file's head is damaged: a key is there twice".to_owned());
            }
        }
        let header = describe(&values)?;
        self.check_tensors(tensors, number(&values, "general.alignment").unwrap_or(32))?;
        Ok(header)
    }

    /// Every tensor must lie within the file.
    fn check_tensors(&mut self, tensors: u64, alignment: u64) -> Result<(), Refusal> {
        if !alignment.is_power_of_two() || alignment > 1 << 20 {
            return Err("the file's head is damaged: impossible alignment".to_owned());
        }
        let mut end = 0_u64;
        for _ in 0..tensors {
            self.text()?;
            let dimensions = self.u32()?;
            if dimensions > 4 {
                return Err(
                    "the file's head is damaged: a tensor of more than four dimensions".to_owned(),
                );
            }
            let mut elements = 1_u64;
            for _ in 0..dimensions {
                let size = self.u64()?;
                elements = elements.checked_mul(size).ok_or_else(damaged_tensor)?;
            }
            let kind = self.u32()?;
            let offset = self.u64()?;
            let (block, bytes) = block_of(kind).ok_or_else(|| {
                format!("the file has weights of a type that is not known here ({kind})")
            })?;
            let size = (elements / block)
                .checked_mul(bytes)
                .ok_or_else(damaged_tensor)?;
            end = end.max(offset.checked_add(size).ok_or_else(damaged_tensor)?);
        }
        let begin = self
            .at
            .checked_next_multiple_of(alignment)
            .ok_or_else(damaged_tensor)?;
        match begin.checked_add(end) {
            Some(end) if end <= self.length => Ok(()),
            _ => Err("the file is incomplete: it ends before its weights do".to_owned()),
        }
    }

    fn value(&mut self, kind: u32) -> Result<Value, Refusal> {
        Ok(match kind {
            0 => Value::Number(u64::from(self.bytes::<1>()?[0])),
            2 => Value::Number(u64::from(u16::from_le_bytes(self.bytes()?))),
            4 => Value::Number(u64::from(self.u32()?)),
            10 => Value::Number(self.u64()?),
            // A negative number is none that is looked for.
            5 => {
                let number = i32::from_le_bytes(self.bytes()?);
                u64::try_from(number).map_or(Value::Other, Value::Number)
            }
            11 => {
                let number = i64::from_le_bytes(self.bytes()?);
                u64::try_from(number).map_or(Value::Other, Value::Number)
            }
            1 | 7 => self.skip(1).map(|()| Value::Other)?,
            3 => self.skip(2).map(|()| Value::Other)?,
            6 => self.skip(4).map(|()| Value::Other)?,
            12 => self.skip(8).map(|()| Value::Other)?,
            8 => Value::Text(self.text()?),
            9 => self.array()?,
            _ => return Err("the file's head is damaged: a value of no known type".to_owned()),
        })
    }

    fn array(&mut self) -> Result<Value, Refusal> {
        let (kind, count) = (self.u32()?, self.u64()?);
        if kind == 9 {
            return Err("the file's head is damaged: an array of arrays".to_owned());
        }
        // Each element takes at least a byte, so this ends with the file.
        let mut kept = Vec::new();
        for _ in 0..count {
            match kind {
                8 => {
                    let length = self.u64()?;
                    self.skip(length)?;
                }
                _ => match self.value(kind)? {
                    Value::Number(number) if kept.len() < KEPT_NUMBERS => kept.push(number),
                    _ => {}
                },
            }
        }
        Ok(Value::Array(kept, count))
    }

    fn text(&mut self) -> Result<String, Refusal> {
        let length = self.u64()?;
        if length > self.length.saturating_sub(self.at) {
            return Err(incomplete());
        }
        let length = usize::try_from(length).map_err(|_| incomplete())?;
        let mut bytes = vec![0; length];
        self.fill(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn u32(&mut self) -> Result<u32, Refusal> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    fn u64(&mut self) -> Result<u64, Refusal> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Refusal> {
        self.inner.read_exact(bytes).map_err(|_| incomplete())?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn skip(&mut self, bytes: u64) -> Result<(), Refusal> {
        if bytes > self.length.saturating_sub(self.at) {
            return Err(incomplete());
        }
        let step = i64::try_from(bytes).map_err(|_| incomplete())?;
        self.inner.seek_relative(step).map_err(|_| incomplete())?;
        self.at += bytes;
        Ok(())
    }
}

fn incomplete() -> Refusal {
    "the file is incomplete: it ends within its head".to_owned()
}

fn damaged_tensor() -> Refusal {
    "the file's head is damaged: a tensor of impossible size".to_owned()
}

fn number(values: &HashMap<String, Value>, key: &str) -> Option<u64> {
    match values.get(key)? {
        Value::Number(number) => Some(*number),
        // Gemma and others give some numbers for each layer; the largest is the safe one.
        Value::Array(numbers, _) => numbers.iter().copied().max(),
        Value::Text(_) | Value::Other => None,
    }
}

fn text<'a>(values: &'a HashMap<String, Value>, key: &str) -> Option<&'a str> {
    match values.get(key)? {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

fn describe(values: &HashMap<String, Value>) -> Result<Header, Refusal> {
    let architecture =
        text(values, "general.architecture").ok_or("the file does not name its architecture")?;
    if !ARCHITECTURES.contains(&architecture) {
        return Err(format!(
            "the architecture `{}` is not supported; {} are",
            architecture.chars().take(40).collect::<String>(),
            ARCHITECTURES.join(", ")
        ));
    }
    if number(values, "split.count").is_some_and(|parts| parts > 1) {
        return Err(
            "the file is one part of several; merge them with llama-gguf-split --merge".to_owned(),
        );
    }
    if !matches!(values.get("tokenizer.ggml.tokens"), Some(Value::Array(_, count)) if *count > 0) {
        return Err("the file has no tokenizer".to_owned());
    }
    let of_model = |key: &str| number(values, &format!("{architecture}.{key}"));
    let needed = |key: &str| {
        of_model(key)
            .filter(|number| (1..=u64::from(u32::MAX / 2)).contains(number))
            .ok_or_else(|| format!("the file's head is damaged: {architecture}.{key} is missing"))
    };
    let cache_bytes_per_token = check_shape(&needed, &of_model)?;
    Ok(Header {
        architecture: architecture.to_owned(),
        context_length: u32::try_from(needed("context_length")?).unwrap_or(u32::MAX),
        cache_bytes_per_token,
        byte_pairs: text(values, "tokenizer.ggml.model") == Some("gpt2"),
        template: text(values, "tokenizer.chat_template").map(str::to_owned),
    })
}

/// Checks the model's measures against each other, as llama.cpp ends the process on some that do not fit. Gives the bytes of
/// prompt cache for one token.
fn check_shape(
    needed: &dyn Fn(&str) -> Result<u64, Refusal>,
    of_model: &dyn Fn(&str) -> Option<u64>,
) -> Result<u64, Refusal> {
    let (width, heads) = (needed("embedding_length")?, needed("attention.head_count")?);
    let layers = needed("block_count")?;
    let cached_heads = of_model("attention.head_count_kv").unwrap_or(heads);
    let key = of_model("attention.key_length").unwrap_or(width / heads);
    let value = of_model("attention.value_length").unwrap_or(width / heads);
    let turned = of_model("rope.dimension_count").unwrap_or(key);
    let fits = layers <= MOST_LAYERS
        && width <= MOST_WIDTH
        && heads <= MOST_WIDTH
        && (1..=heads).contains(&cached_heads)
        && heads.is_multiple_of(cached_heads)
        && (1..=MOST_WIDTH).contains(&key)
        && key == value
        && (1..=key).contains(&turned)
        && turned.is_multiple_of(2);
    if !fits {
        return Err("the file's head is damaged: the model's measures do not fit".to_owned());
    }
    Ok(layers * cached_heads * (key + value) * 2)
}

/// Elements and bytes of one block of a weight type (ggml's `ggml_type` and its type traits).
const fn block_of(kind: u32) -> Option<(u64, u64)> {
    Some(match kind {
        0 | 26 => (1, 4),      // F32, I32
        1 | 25 | 30 => (1, 2), // F16, I16, BF16
        24 => (1, 1),          // I8
        27 | 28 => (1, 8),     // I64, F64
        2 => (32, 18),         // Q4_0
        3 => (32, 20),         // Q4_1
        6 => (32, 22),         // Q5_0
        7 => (32, 24),         // Q5_1
        8 => (32, 34),         // Q8_0
        10 => (256, 84),       // Q2_K
        11 => (256, 110),      // Q3_K
        12 => (256, 144),      // Q4_K
        13 => (256, 176),      // Q5_K
        14 => (256, 210),      // Q6_K
        16 => (256, 66),       // IQ2_XXS
        17 => (256, 74),       // IQ2_XS
        18 => (256, 98),       // IQ3_XXS
        19 => (256, 50),       // IQ1_S
        20 => (32, 18),        // IQ4_NL
        21 => (256, 110),      // IQ3_S
        22 => (256, 82),       // IQ2_S
        23 => (256, 136),      // IQ4_XS
        29 => (256, 56),       // IQ1_M
        34 => (256, 54),       // TQ1_0
        35 => (256, 66),       // TQ2_0
        39 => (32, 17),        // MXFP4
        _ => return None,
    })
}
