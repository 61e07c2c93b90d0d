//! The baseline: four words as an array.

use super::super::portable::Portable;
use super::Integers;

type Words = [i32; 4];

#[inline(always)]
fn zip(a: Words, b: Words, f: impl Fn(i32, i32) -> i32) -> Words {
    std::array::from_fn(|lane| f(a[lane], b[lane]))
}

impl Integers for Portable {
    type Words = Words;

    #[inline(always)]
    fn splat_word(self, value: i32) -> Words {
        [value; 4]
    }
    #[inline(always)]
    unsafe fn load_words(self, from: *const i32) -> Words {
        // SAFETY: the caller promises four readable words.
        unsafe { from.cast::<Words>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store_words(self, words: Words, to: *mut i32) {
        // SAFETY: the caller promises four writable words.
        unsafe { to.cast::<Words>().write_unaligned(words) }
    }
    #[inline(always)]
    fn add_words(self, a: Words, b: Words) -> Words {
        zip(a, b, i32::wrapping_add)
    }
    #[inline(always)]
    fn sub_words(self, a: Words, b: Words) -> Words {
        zip(a, b, i32::wrapping_sub)
    }
    #[inline(always)]
    fn and(self, a: Words, b: Words) -> Words {
        zip(a, b, |a, b| a & b)
    }
    #[inline(always)]
    fn or(self, a: Words, b: Words) -> Words {
        zip(a, b, |a, b| a | b)
    }
    #[inline(always)]
    fn shift_left<const N: u32>(self, a: Words) -> Words {
        a.map(|a| a << N)
    }
    #[inline(always)]
    fn max_words(self, a: Words, b: Words) -> Words {
        zip(a, b, i32::max)
    }
    #[inline(always)]
    fn as_words(self, a: [f32; 4]) -> Words {
        a.map(|a| a.to_bits().cast_signed())
    }
    #[inline(always)]
    fn as_floats(self, a: Words) -> [f32; 4] {
        a.map(|a| f32::from_bits(a.cast_unsigned()))
    }
    #[inline(always)]
    fn to_floats(self, a: Words) -> [f32; 4] {
        a.map(|a| a as f32)
    }
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn multiply_pairs(self, a: Words, b: Words) -> Words {
        use std::arch::x86_64::{__m128i, _mm_madd_epi16};
        use std::mem::transmute;
        // The compiler does not find the instruction by itself.
        // SAFETY: SSE2 is in x86-64's baseline; both types are 16 bytes of any value.
        unsafe {
            transmute::<__m128i, Words>(_mm_madd_epi16(
                transmute::<Words, __m128i>(a),
                transmute::<Words, __m128i>(b),
            ))
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    #[inline(always)]
    fn multiply_pairs(self, a: Words, b: Words) -> Words {
        zip(a, b, |a, b| {
            let low = i32::from(a as i16) * i32::from(b as i16);
            low.wrapping_add((a >> 16) * (b >> 16))
        })
    }
}
