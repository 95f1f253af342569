//! The compression of messages: permessage-deflate (RFC 7692) without context takeover.
//!
//! No message depends on one before it, so that one compressed message serves all sockets, and a socket costs no memory
//! for it.

use std::cell::RefCell;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use thiserror::Error;

/// Shorter messages are sent as they are: the columns of a change alone are longer, so these are hardly ever changes.
const LEAST_BYTES: usize = 256;

/// The fastest: whoever compresses delivers to everybody. The next level takes twice the time, and saves a tenth to a fifth
/// of the bytes.
const LEVEL: u32 = 1;

/// What ends a flushed stream, and is left out on the wire (RFC 7692, section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xFF, 0xFF];

/// A buffer that has grown beyond this for one large message is given back.
const KEPT_BYTES: usize = 256 * 1024;

thread_local! {
    // Half a mebibyte of tables with nothing to remember: one for each thread that compresses.
    static DEFLATER: RefCell<Deflater> = RefCell::new(Deflater {
        compress: Compress::new(Compression::new(LEVEL), false),
        out: Vec::new(),
    });
}

struct Deflater {
    compress: Compress,
    out: Vec<u8>,
}

/// Hands over the message that consists of `parts`, compressed; `None` if it is better sent as it is.
pub fn deflated<T>(parts: [&[u8]; 3], take: impl FnOnce(&[u8]) -> T) -> Option<T> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    if length < LEAST_BYTES {
        return None;
    }
    DEFLATER.with_borrow_mut(|deflater| {
        let taken = deflater.run(parts, length).map(take);
        if deflater.out.capacity() > KEPT_BYTES {
            deflater.out = Vec::new();
        }
        taken
    })
}

impl Deflater {
    /// Only with as much room as the message has itself: one that does not fit is not worth it.
    fn run(&mut self, parts: [&[u8]; 3], length: usize) -> Option<&[u8]> {
        self.compress.reset();
        self.out.clear();
        self.out.reserve(length);
        for (place, part) in parts.iter().enumerate() {
            let flush = if place + 1 < parts.len() { FlushCompress::None } else { FlushCompress::Sync };
            let before = self.compress.total_in();
            self.compress.compress_vec(part, &mut self.out, flush).ok()?;
            if self.compress.total_in() - before < part.len() as u64 {
                return None;
            }
        }
        // A buffer that is full may lack the end.
        if self.out.len() == self.out.capacity() {
            return None;
        }
        self.out.strip_suffix(&TAIL).filter(|out| out.len() < length)
    }
}

/// Why a compressed message cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InflateError {
    /// It is longer than it may be.
    #[error("the message is longer than it may be")]
    TooLong,
    /// It is not DEFLATE (RFC 1951).
    #[error("the message is not DEFLATE")]
    Corrupt,
}

/// Reads compressed messages, one after the other, of any socket.
#[derive(Debug)]
pub struct Inflater(Decompress);

impl Default for Inflater {
    fn default() -> Self {
        Self(Decompress::new(false))
    }
}

impl Inflater {
    /// The message in `compressed`, which may become `bound` bytes long.
    ///
    /// # Errors
    /// When it is longer, or no DEFLATE. No more than `bound` bytes were made of it then.
    pub fn inflate(&mut self, compressed: &[u8], bound: usize) -> Result<Vec<u8>, InflateError> {
        self.0.reset(false);
        let mut out = Vec::new();
        for mut input in [compressed, &TAIL] {
            loop {
                if out.len() == out.capacity() {
                    // One byte above the bound shows that it is passed.
                    out.reserve_exact((bound + 1 - out.len()).min(out.len().max(1024)));
                }
                let before = self.0.total_in();
                let status = self.0.decompress_vec(input, &mut out, FlushDecompress::Sync);
                let status = status.map_err(|_| InflateError::Corrupt)?;
                if out.len() > bound {
                    return Err(InflateError::TooLong);
                }
                let read = usize::try_from(self.0.total_in() - before).unwrap_or(input.len());
                input = input.get(read..).unwrap_or_default();
                if status == Status::StreamEnd {
                    // A final block; what comes behind it begins anew (RFC 7692, section 7.2.3.4).
                    self.0.reset(false);
                } else if out.len() == out.capacity() {
                    continue;
                } else if !input.is_empty() {
                    return Err(InflateError::Corrupt);
                }
                if input.is_empty() {
                    break;
                }
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(text: &[u8]) -> Option<Vec<u8>> {
        let (one, rest) = text.split_at(text.len() / 3);
        let (two, three) = rest.split_at(rest.len() / 2);
        deflated([one, two, three], <[u8]>::to_vec)
    }

    #[test]
    fn messages_of_every_length_are_read_back_one_after_the_other_and_in_any_order() {
        let mut inflater = Inflater::default();
        let texts: Vec<Vec<u8>> = [256, 300, 4000, 70_000, 1_000_000]
            .map(|length| (0..length).map(|at| b"abcdefghij"[at * at / 7 % 10]).collect())
            .into();
        let compressed: Vec<_> = texts.iter().map(|text| whole(text).unwrap()).collect();
        for place in [4, 0, 3, 1, 2, 0] {
            assert!(compressed[place].len() < texts[place].len());
            assert_eq!(inflater.inflate(&compressed[place], texts[place].len()).unwrap(), texts[place]);
        }
    }

    #[test]
    fn what_is_short_or_would_grow_is_not_compressed() {
        assert_eq!(whole(&[b'a'; 255]), None);
        assert!(whole(&[b'a'; 256]).is_some());
        let noise: Vec<u8> =
            std::iter::successors(Some(1_u64), |x| Some(x.wrapping_mul(6_364_136_223_846_793_005) + 1))
                .take(5000)
                .map(|x| (x >> 56) as u8)
                .collect();
        assert_eq!(whole(&noise), None);
    }

    #[test]
    fn a_bomb_is_given_up_at_the_bound_and_what_is_no_deflate_is_refused() {
        let mut inflater = Inflater::default();
        let bomb = whole(&vec![0; 50_000_000]).unwrap();
        assert!(bomb.len() < 1_000_000);
        assert_eq!(inflater.inflate(&bomb, 1_000_000), Err(InflateError::TooLong));
        assert_eq!(inflater.inflate(&[0xFF; 20], 1000), Err(InflateError::Corrupt));
        let text = vec![b'x'; 1000];
        let exact = whole(&text).unwrap();
        assert_eq!(inflater.inflate(&exact, 999), Err(InflateError::TooLong));
        assert_eq!(inflater.inflate(&exact, 1000).unwrap(), text);
    }

    /// The examples of RFC 7692, section 7.2.3: one block, two blocks, no compression, a final block.
    #[test]
    fn the_forms_of_the_rfc_are_read() {
        let forms: [&[u8]; 4] = [
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
            &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
            &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
        ];
        for form in forms {
            assert_eq!(Inflater::default().inflate(form, 100).unwrap(), b"Hello", "{form:x?}");
        }
        assert_eq!(Inflater::default().inflate(&[0], 100).unwrap(), b"");
    }

    proptest! {
        #[test]
        fn no_input_makes_it_panic_or_pass_the_bound(
            garbage in proptest::collection::vec(any::<u8>(), 0..300),
            bound in 0_usize..2000,
        ) {
            if let Ok(out) = Inflater::default().inflate(&garbage, bound) {
                prop_assert!(out.len() <= bound);
            }
        }
    }
}
