//! The formula that the tests' weights come from; its other half is tests/fixtures/formula.py.
//!
//! [`super::checkpoint`] has the list of tensors. Only whole numbers and single additions and
//! multiplications in f64 are used, so that Rust and numpy give the same bits: the sha256 sums in
//! tests/fixtures/goldens prove it.

use std::io::{self, Write};

use serde::Deserialize;

/// How a tensor's elements lie in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Storage {
    F32,
    F16,
    #[serde(rename = "BF16")]
    Bf16,
    F64,
    I64,
    I8,
}

impl Storage {
    /// The name in a safetensors header.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::F64 => "F64",
            Self::I64 => "I64",
            Self::I8 => "I8",
        }
    }

    /// Bytes an element.
    pub fn item_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::F64 | Self::I64 => 8,
            Self::I8 => 1,
        }
    }
}

/// One tensor of a checkpoint: where it stands and what its numbers follow from.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// The name in the file, in the checkpoint's own style.
    pub stored_name: String,
    /// The name without prefix and with `weight` and `bias`: the numbers' seed.
    pub plain_name: String,
    pub storage: Storage,
    pub shape: Vec<usize>,
    pub mean: f64,
    pub spread: f64,
}

impl Tensor {
    /// Elements in all.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// Bytes in the file.
    pub fn size_bytes(&self) -> usize {
        self.count() * self.storage.item_bytes()
    }

    /// The elements as [`Self::write`] has them.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.size_bytes());
        self.write(&mut bytes).expect("memory takes everything");
        bytes
    }

    /// Writes the elements little-endian, without holding more than a piece of them.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        /// Enough for writes to cost nothing beside the formula.
        const PIECE: usize = 1 << 14;
        let mut bytes = Vec::with_capacity(PIECE * self.storage.item_bytes());
        let seed = fnv1a(&self.plain_name);
        for start in (0..self.count()).step_by(PIECE) {
            bytes.clear();
            for element in start..self.count().min(start + PIECE) {
                let value = || self.value(seed, element as u64);
                match self.storage {
                    Storage::F32 => bytes.extend(value().to_le_bytes()),
                    Storage::F16 => bytes.extend(f16_bits(value()).to_le_bytes()),
                    Storage::Bf16 => bytes.extend(bf16_bits(value()).to_le_bytes()),
                    Storage::F64 => bytes.extend(f64::from(value()).to_le_bytes()),
                    // Positions, the only whole numbers in a checkpoint, count up from zero.
                    Storage::I64 => bytes.extend((element as u64).to_le_bytes()),
                    Storage::I8 => bytes.push(element as u8),
                }
            }
            out.write_all(&bytes)?;
        }
        Ok(())
    }

    /// The element's value: the four 16-bit quarters of a splitmix64 step add up to a near-normal
    /// number about 131070, whose standard deviation is 65536 / sqrt(3) = 37837.
    fn value(&self, seed: u64, element: u64) -> f32 {
        let bits = splitmix64(seed.wrapping_add((element + 1).wrapping_mul(GOLDEN_GAMMA)));
        let total: u64 = (0..4)
            .map(|quarter| (bits >> (16 * quarter)) & 0xFFFF)
            .sum();
        let centred = total as f64 - 131_070.0;
        (self.mean + (self.spread / 37837.0) * centred) as f32
    }
}

/// splitmix64's increment: 2^64 divided by the golden ratio.
const GOLDEN_GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// splitmix64's mixing of one state.
fn splitmix64(state: u64) -> u64 {
    let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The 64-bit FNV-1a hash of a name's bytes.
fn fnv1a(name: &str) -> u64 {
    name.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

/// The upper half, rounded to nearest, ties to even; the formula gives no NaN.
fn bf16_bits(value: f32) -> u16 {
    let bits = value.to_bits();
    ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16) as u16
}

/// IEEE half precision, rounded to nearest, ties to even, for |value| below 65504.
fn f16_bits(value: f32) -> u16 {
    let magnitude = value.abs();
    let sign = ((value.to_bits() >> 16) & 0x8000) as u16;
    // Below 2^-14 halves are whole multiples of 2^-24. Added to 0.5, whose last place is 2^-24
    // too, the number is rounded to one, and the sum's low bits count them.
    if magnitude < 2.0_f32.powi(-14) {
        return sign | ((magnitude + 0.5).to_bits() - 0.5_f32.to_bits()) as u16;
    }
    let bits = magnitude.to_bits();
    let rounded = (bits + 0xFFF + ((bits >> 13) & 1)) >> 13;
    // The exponent's bias is 15 in place of 127.
    sign | (rounded - (112 << 10)) as u16
}
